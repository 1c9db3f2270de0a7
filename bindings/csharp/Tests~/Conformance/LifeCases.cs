using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;

namespace NpcEngine.Tests
{
    /// <summary>The cases about beginnings and ends.</summary>
    internal sealed class LifeCases
    {
        private const double MaxGrowthMb = 20;

        private readonly string _zmq;
        private readonly string _faults;

        public LifeCases(Dictionary<string, object> server, List<KeyValuePair<string, Action>> cases)
        {
            _zmq = (string)server["zmq"];
            _faults = (string)server["zmq_faults"];
            cases.Add(new KeyValuePair<string, Action>("close_in_mid_turn", CloseInMidTurn));
            cases.Add(new KeyValuePair<string, Action>("start_stop_200", StartStop));
        }

        public List<double> RoundTripsUs { get; } = new List<double>();

        private void CloseInMidTurn()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation mara = game.Open();
                Talk talk = game.Say(mara, "wait");
                talk.UntilToken();
                bool wasOver = false;
                NpcRequest<bool> close = mara.Close();
                close.Done += _ => wasOver = talk.Turn.IsOver;
                game.Wait(close);
                Check.That(wasOver, "the close was confirmed before the turn's end");
                talk.CheckHeard("token Hm", "end Cancelled model Hm");
                game.Say(mara, "Hello?").Fails(5, "NPC303", "NPC302");
            }
            CloseClient();
            DisposeClient();
            using (Game game = Game.Connected(_faults))
            {
                Talk talk = game.Say(game.Open(), "fault hangup");
                talk.Fails(5, "NPC313");
                game.For(0.3);
                Check.Equal(1, talk.Failures.Count, "failures");
            }
        }

        private void CloseClient()
        {
            using (Game game = Game.Connected(_zmq))
            {
                Talk talk = game.Say(game.Open(), "wait");
                talk.UntilToken();
                Stopwatch clock = Stopwatch.StartNew();
                game.Client.Close();
                Check.That(clock.ElapsedMilliseconds < 100, "Close took " + clock.ElapsedMilliseconds + " ms");
                talk.Fails(2, "NPC313");
                game.For(0.2);
                talk.CheckHeard("token Hm", "failed NPC313");
                Check.Equal(0, game.Losses.Count, "losses");
            }
        }

        private void DisposeClient()
        {
            Game game = Game.Connected(_zmq);
            Talk talk = game.Say(game.Open(), "wait");
            talk.UntilToken();
            var task = talk.Turn.AsTask();
            Stopwatch clock = Stopwatch.StartNew();
            game.Dispose();
            Check.That(clock.ElapsedMilliseconds < 600, "Dispose took " + clock.ElapsedMilliseconds + " ms");
            game.For(0.2);
            talk.CheckHeard("token Hm");
            Check.That(task.IsFaulted, "the task of the turn was left open");
        }

        // The runtime's own pool grows and shrinks with the machine's load; at its full size from the start, it cannot be taken
        // for a leak.
        private static void FillPool()
        {
            const int size = 8;
            ThreadPool.SetMaxThreads(size, size);
            // Not disposed: the last of its waiters is not waited for.
            var all = new CountdownEvent(size);
            for (int i = 0; i < size; i++)
            {
                ThreadPool.QueueUserWorkItem(_ =>
                {
                    all.Signal();
                    all.Wait();
                });
            }
            Check.That(all.Wait(10000), "the pool does not fill");
        }

        private void StartStop()
        {
            FillPool();
            int numThreads = 0, numFiles = 0;
            double residentMb = 0, longestDisposeMs = 0;
            for (int i = 1; i <= 200; i++)
            {
                Game game = Game.Connected(_zmq);
                game.CheckLives();
                if (i % 4 == 0)
                {
                    game.Say(game.Open(), "wait").UntilToken();
                }
                Stopwatch clock = Stopwatch.StartNew();
                game.Dispose();
                longestDisposeMs = Math.Max(longestDisposeMs, clock.Elapsed.TotalMilliseconds);
                if (i == 20)
                {
                    numThreads = Processes.NumThreads;
                    numFiles = Processes.NumFiles;
                    residentMb = ResidentMb();
                }
            }
            // The runtime's own pool threads come and go; those of a client are gone when Dispose returns.
            Processes.CheckNoClientThreads();
            for (int i = 0; i < 500 && (Processes.NumThreads > numThreads || Processes.NumFiles > numFiles); i++)
            {
                Thread.Sleep(10);
            }
            double growthMb = ResidentMb() - residentMb;
            Console.WriteLine(string.Format(
                CultureInfo.InvariantCulture,
                "start_stop: threads {0} -> {1}, files {2} -> {3}, memory {4:+0.0;-0.0} MB, longest Dispose {5:0.0} ms",
                numThreads, Processes.NumThreads, numFiles, Processes.NumFiles, growthMb, longestDisposeMs));
            Check.That(Processes.NumThreads <= numThreads, "threads: " + numThreads + " -> " + Processes.NumThreads);
            Check.That(Processes.NumFiles <= numFiles, "open files: " + numFiles + " -> " + Processes.NumFiles);
            Check.That(growthMb < MaxGrowthMb, "memory grew by " + growthMb + " MB");
            Check.That(longestDisposeMs < 600, "a Dispose took " + longestDisposeMs + " ms");
        }

        /// <summary>1,000 requests for health, one after another, after 100 that do not count.</summary>
        public void RoundTrips()
        {
            using (Game game = Game.Connected(_zmq))
            {
                for (int i = 0; i < 1100; i++)
                {
                    Stopwatch clock = Stopwatch.StartNew();
                    NpcRequest<HealthReport> request = game.Client.Health();
                    while (!request.IsFinished)
                    {
                        Check.That(clock.ElapsedMilliseconds < 5000, "no answer");
                        // Yields, so that on few cores the polling does not keep the server from answering.
                        Thread.Yield();
                        game.Client.Poll();
                    }
                    if (i >= 100)
                    {
                        RoundTripsUs.Add(clock.Elapsed.TotalMilliseconds * 1000);
                    }
                }
            }
        }

        private static double ResidentMb()
        {
            GC.Collect();
            foreach (string line in File.ReadAllLines("/proc/self/status"))
            {
                if (line.StartsWith("VmRSS:", StringComparison.Ordinal))
                {
                    return long.Parse(line.Substring(6).Replace("kB", "").Trim(), CultureInfo.InvariantCulture) / 1024.0;
                }
            }
            throw new CheckFailed("no VmRSS");
        }
    }
}
