using System;
using System.Collections.Generic;
using System.Globalization;

namespace NpcEngine.Tests
{
    /// <summary>Runs every case of bindings/CONFORMANCE.md against a server; one line a case.</summary>
    internal static class ConformanceProgram
    {
        private static int Main(string[] arguments)
        {
            if (arguments.Length == 0)
            {
                Console.Error.WriteLine("usage: conformance.sh ADDRESS_JSON [CASE ...]");
                return 2;
            }
            var server = (Dictionary<string, object>)Json.Parse(arguments[0]);
            var cases = new List<KeyValuePair<string, Action>>();
            var talk = new TalkCases(server, cases);
            new ToolCases(server, cases);
            var faults = new FaultCases(server, cases);
            var life = new LifeCases(server, cases);
            bool isGood = true;
            foreach (KeyValuePair<string, Action> entry in cases)
            {
                if (arguments.Length > 1 && Array.IndexOf(arguments, entry.Key, 1) < 0)
                {
                    continue;
                }
                try
                {
                    entry.Value();
                    Console.WriteLine("ok " + entry.Key);
                }
                catch (CheckFailed failure)
                {
                    isGood = false;
                    Console.WriteLine("FAIL " + entry.Key + ": " + failure.Message.Replace('\n', ' '));
                }
                catch (Exception error)
                {
                    isGood = false;
                    Console.WriteLine("FAIL " + entry.Key + ": " + error.ToString().Replace('\n', ' '));
                }
            }
            if (arguments.Length == 1)
            {
                life.RoundTrips();
            }
            var polls = new List<double>(talk.PollTimes);
            polls.AddRange(faults.PollTimes);
            PrintTimes("poll_max_ms", polls, 0.999, 1);
            PrintTimes("round_trip_us", life.RoundTripsUs, 0.5, 0.99);
            return isGood ? 0 : 1;
        }

        private static void PrintTimes(string name, List<double> times, double first, double second)
        {
            if (times.Count > 0)
            {
                times.Sort();
                Console.WriteLine("time " + name + " " + Quantile(times, first) + " " + Quantile(times, second));
            }
        }

        private static string Quantile(List<double> sorted, double quantile)
        {
            int index = Math.Min(sorted.Count - 1, (int)Math.Ceiling(quantile * sorted.Count) - 1);
            return sorted[Math.Max(0, index)].ToString("0.###", CultureInfo.InvariantCulture);
        }
    }
}
