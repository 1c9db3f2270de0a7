using System;
using System.IO;
using System.Threading;

namespace NpcEngine.Tests
{
    /// <summary>What this process holds, as Linux counts it.</summary>
    internal static class Processes
    {
        public static int NumThreads => Directory.GetDirectories("/proc/self/task").Length;

        public static int NumFiles => Directory.GetFileSystemEntries("/proc/self/fd").Length;

        /// <summary>Threads that a client started; Mono and .NET name the system's thread too.</summary>
        public static int NumClientThreads()
        {
            int count = 0;
            foreach (string task in Directory.GetDirectories("/proc/self/task"))
            {
                try
                {
                    count += File.ReadAllText(task + "/comm").StartsWith("npc-engine", StringComparison.Ordinal) ? 1 : 0;
                }
                catch (IOException)
                {
                    // It ended meanwhile.
                }
            }
            return count;
        }

        /// <summary>Checks that no client has left its thread; the system needs a moment more than Join to take one away.</summary>
        public static void CheckNoClientThreads()
        {
            for (int i = 0; i < 200 && NumClientThreads() > 0; i++)
            {
                Thread.Sleep(5);
            }
            Check.Equal(0, NumClientThreads(), "threads of clients");
        }
    }
}
