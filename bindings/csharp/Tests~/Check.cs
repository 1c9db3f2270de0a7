using System;
using System.Collections;
using System.Collections.Generic;

namespace NpcEngine.Tests
{
    /// <summary>A test that failed; its message says why.</summary>
    internal sealed class CheckFailed : Exception
    {
        public CheckFailed(string message) : base(message)
        {
        }
    }

    /// <summary>A test that this runtime cannot run; its message says why.</summary>
    internal sealed class CheckSkipped : Exception
    {
        public CheckSkipped(string message) : base(message)
        {
        }
    }

    internal static class Check
    {
        public static void That(bool holds, string what)
        {
            if (!holds)
            {
                throw new CheckFailed(what);
            }
        }

        public static void Equal(object expected, object actual, string what = "")
        {
            if (!Same(expected, actual))
            {
                throw new CheckFailed(what + " expected " + Show(expected) + ", got " + Show(actual));
            }
        }

        public static void Code(string code, Action step)
        {
            try
            {
                step();
            }
            catch (NpcEngineException error)
            {
                Equal(code, error.Code, "code of \"" + error.Reason + "\":");
                return;
            }
            throw new CheckFailed("expected " + code + ", nothing was raised");
        }

        /// <summary>Same data: types count (1 is not 1.0), the order of a map's keys does not.</summary>
        public static bool Same(object a, object b)
        {
            var mapA = a as IReadOnlyDictionary<string, object>;
            var mapB = b as IReadOnlyDictionary<string, object>;
            if (mapA != null && mapB != null)
            {
                if (mapA.Count != mapB.Count)
                {
                    return false;
                }
                foreach (KeyValuePair<string, object> entry in mapA)
                {
                    object other;
                    if (!mapB.TryGetValue(entry.Key, out other) || !Same(entry.Value, other))
                    {
                        return false;
                    }
                }
                return true;
            }
            var listA = a as IList;
            var listB = b as IList;
            if (listA != null && listB != null)
            {
                bool same = listA.Count == listB.Count;
                for (int i = 0; same && i < listA.Count; i++)
                {
                    same = Same(listA[i], listB[i]);
                }
                return same;
            }
            if (a is int)
            {
                a = (long)(int)a;
            }
            if (b is int)
            {
                b = (long)(int)b;
            }
            return Equals(a, b);
        }

        public static string Show(object value)
        {
            if (value is string)
            {
                return "\"" + value + "\"";
            }
            var map = value as IReadOnlyDictionary<string, object>;
            if (map != null)
            {
                var parts = new List<string>();
                foreach (KeyValuePair<string, object> entry in map)
                {
                    parts.Add(entry.Key + ": " + Show(entry.Value));
                }
                return "{" + string.Join(", ", parts) + "}";
            }
            var items = value as IEnumerable;
            if (items != null)
            {
                var parts = new List<string>();
                foreach (object item in items)
                {
                    parts.Add(Show(item));
                }
                return "[" + string.Join(", ", parts) + "]";
            }
            return value == null ? "null" : value + " (" + value.GetType().Name + ")";
        }
    }
}
