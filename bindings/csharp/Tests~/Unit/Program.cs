using System;
using System.Collections.Generic;

namespace NpcEngine.Tests
{
    /// <summary>Runs the tests; the first argument is the folder of the golden vectors, others pick tests by a part of their name.</summary>
    internal static class TestProgram
    {
        private static int Main(string[] arguments)
        {
            if (arguments.Length == 0)
            {
                Console.Error.WriteLine("usage: test.sh [PART OF A NAME ...]");
                return 2;
            }
            var tests = new Dictionary<string, Action>();
            CodecTests.AddTo(tests, arguments[0]);
            ZmtpTests.AddTo(tests);
            CurveTests.AddTo(tests);
            ClientTests.AddTo(tests);
            ReloadTests.AddTo(tests);
            SampleTests.AddTo(tests);
            int numFailed = 0;
            foreach (KeyValuePair<string, Action> test in tests)
            {
                if (arguments.Length > 1 && !Array.Exists(arguments, part => part != arguments[0] && test.Key.Contains(part)))
                {
                    continue;
                }
                try
                {
                    test.Value();
                    Console.WriteLine("ok " + test.Key);
                }
                catch (CheckSkipped skipped)
                {
                    Console.WriteLine("skip " + test.Key + ": " + skipped.Message);
                }
                catch (CheckFailed failure)
                {
                    numFailed++;
                    Console.WriteLine("FAIL " + test.Key + ": " + failure.Message);
                }
                catch (Exception error)
                {
                    numFailed++;
                    Console.WriteLine("FAIL " + test.Key + ": " + error);
                }
            }
            Console.WriteLine(numFailed == 0 ? "all passed" : numFailed + " failed");
            return numFailed == 0 ? 0 : 1;
        }
    }
}
