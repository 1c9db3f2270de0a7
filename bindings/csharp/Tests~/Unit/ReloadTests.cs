using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;

namespace NpcEngine.Tests
{
    /// <summary>
    /// What Unity's editor does at every Play and every compilation: it unloads the domain that the scripts ran in. A client
    /// that the game forgot to dispose must not stop that, nor outlive it.
    /// </summary>
    internal static class ReloadTests
    {
        private const int NumReloads = 6;

        public static void AddTo(Dictionary<string, Action> tests)
        {
            tests.Add("reload: a domain with a running client unloads at once, and nothing of it stays", Reload);
        }

        private static void Reload()
        {
            double longestMs = 0;
            using (var server = new MiniServer())
            {
                for (int i = 0; i < NumReloads; i++)
                {
                    AppDomain domain;
                    try
                    {
                        domain = AppDomain.CreateDomain("play " + i, null, AppDomain.CurrentDomain.SetupInformation);
                    }
                    catch (PlatformNotSupportedException)
                    {
                        throw new CheckSkipped("this runtime has no second domain");
                    }
                    domain.SetData("address", i % 3 == 2 ? "tcp://192.0.2.1:5570" : server.Address);
                    domain.SetData("dispose", i % 3 == 1);
                    domain.DoCallBack(Play);
                    if (i % 3 == 1)
                    {
                        Processes.CheckNoClientThreads();
                    }
                    else
                    {
                        Check.Equal(1, Processes.NumClientThreads(), "threads of clients in the domain");
                    }
                    Stopwatch clock = Stopwatch.StartNew();
                    AppDomain.Unload(domain);
                    longestMs = Math.Max(longestMs, clock.Elapsed.TotalMilliseconds);
                    Processes.CheckNoClientThreads();
                }
                Stopwatch patience = Stopwatch.StartNew();
                while (server.NumPeers > 0)
                {
                    Check.That(patience.Elapsed.TotalSeconds < 5, server.NumPeers + " sockets were left open");
                    Thread.Sleep(5);
                }
            }
            Check.That(longestMs < 5000, "an unload took " + longestMs + " ms");
            Console.WriteLine("# the longest of " + NumReloads + " domain unloads took " + longestMs.ToString("0") + " ms");
        }

        // Runs in the second domain; the client is left running unless told otherwise.
        private static void Play()
        {
            var client = new NpcClient((string)AppDomain.CurrentDomain.GetData("address"));
            client.Connect();
            client.Open("mara", "ada").Done += talk => talk.Say("wait");
            Stopwatch clock = Stopwatch.StartNew();
            while (clock.ElapsedMilliseconds < 60 || (clock.ElapsedMilliseconds < 5000 && Processes.NumClientThreads() == 0))
            {
                client.Poll();
                Thread.Sleep(2);
            }
            if ((bool)AppDomain.CurrentDomain.GetData("dispose"))
            {
                client.Dispose();
            }
        }
    }
}
