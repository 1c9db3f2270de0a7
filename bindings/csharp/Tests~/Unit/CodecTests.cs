using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using NpcEngine.Wire;

namespace NpcEngine.Tests
{
    /// <summary>The codec against the golden vectors, and against noise.</summary>
    internal static class CodecTests
    {
        private const int NumRandomFrames = 20000;

        public static void AddTo(Dictionary<string, Action> tests, string vectors)
        {
            tests.Add("codec: every golden message decodes to its meaning", () => Decodes(vectors));
            tests.Add("codec: every golden message encodes to bytes of the same meaning", () => Encodes(vectors));
            tests.Add("codec: every golden reply parses", () => Parses(vectors));
            tests.Add("codec: every refused frame is refused, with its code where a client can tell", () => Refuses(vectors));
            tests.Add("codec: every prefix of every message is refused", () => RefusesPrefixes(vectors));
            tests.Add("codec: random bytes give a message or a coded error", RandomBytes);
            tests.Add("codec: mutated messages give a message or a coded error", () => Mutations(vectors));
            tests.Add("codec: what cannot be sent is refused", RefusesToEncode);
            tests.Add("codec: boundaries of every width survive", Boundaries);
        }

        private static List<object> Load(string vectors, string file, string key)
        {
            return (List<object>)((Dictionary<string, object>)Json.Parse(File.ReadAllText(Path.Combine(vectors, file))))[key];
        }

        private static byte[] Bytes(object hex)
        {
            var text = (string)hex;
            var bytes = new byte[text.Length / 2];
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = Convert.ToByte(text.Substring(2 * i, 2), 16);
            }
            return bytes;
        }

        private static void Decodes(string vectors)
        {
            foreach (Dictionary<string, object> vector in Load(vectors, "messages.json", "messages"))
            {
                Dictionary<string, object> fields = MessagePackReader.ReadMessage(Bytes(vector["hex"]), new CodecLimits());
                Check.That(SameMeaning(vector["meaning"], fields), vector["name"] + ": decoded to " + Check.Show(fields));
            }
        }

        // A vector may stand for an integer where a float is meant, and leave out what may be left out.
        private static bool SameMeaning(object meaning, Dictionary<string, object> fields)
        {
            foreach (KeyValuePair<string, object> entry in (Dictionary<string, object>)meaning)
            {
                object value;
                bool isThere = fields.TryGetValue(entry.Key, out value);
                if (isThere && entry.Value is double && value is long)
                {
                    value = (double)(long)value;
                }
                if (isThere ? !Check.Same(entry.Value, value) : entry.Value != null && entry.Value as string != "")
                {
                    return false;
                }
            }
            return fields.Count <= ((Dictionary<string, object>)meaning).Count;
        }

        private static void Encodes(string vectors)
        {
            foreach (Dictionary<string, object> vector in Load(vectors, "messages.json", "messages"))
            {
                byte[] frame = MessagePackWriter.WriteMessage((IDictionary)vector["meaning"], new CodecLimits());
                Check.Equal(vector["meaning"], MessagePackReader.ReadMessage(frame, new CodecLimits()), (string)vector["name"]);
                if ((bool)vector["canonical"])
                {
                    Check.Equal(vector["hex"], BitConverter.ToString(frame).Replace("-", "").ToLowerInvariant(), (string)vector["name"]);
                }
            }
        }

        private static void Parses(string vectors)
        {
            int count = 0;
            foreach (Dictionary<string, object> vector in Load(vectors, "messages.json", "messages"))
            {
                if ((string)vector["direction"] == "server_to_client")
                {
                    Dictionary<string, object> fields = MessagePackReader.ReadMessage(Bytes(vector["hex"]), new CodecLimits());
                    Check.Equal(fields["request_id"], ReplyParser.Parse(fields).RequestId, (string)vector["name"]);
                    // Fields of a newer server are ignored; every field that is needed is missed.
                    fields.Add("mood", "calm");
                    ReplyParser.Parse(fields);
                    var optional = new HashSet<string> { "mood", "cancelled", "retry_after_s", "idempotency_key", "cost" };
                    foreach (string name in new List<string>(fields.Keys))
                    {
                        var without = new Dictionary<string, object>(fields);
                        without.Remove(name);
                        if (!optional.Contains(name))
                        {
                            Check.Code("NPC202", () => ReplyParser.Parse(without));
                        }
                    }
                    count++;
                }
            }
            Check.That(count >= 12, "only " + count + " replies in the vectors");
        }

        private static void Refuses(string vectors)
        {
            foreach (Dictionary<string, object> vector in Load(vectors, "refused.json", "frames"))
            {
                string code = null;
                try
                {
                    ReplyParser.Parse(MessagePackReader.ReadMessage(Bytes(vector["hex"]), new CodecLimits()));
                }
                catch (NpcEngineException error)
                {
                    code = error.Code;
                }
                Check.That(code != null, vector["name"] + " was taken");
                // What is wrong with a request's own fields only a server can tell; to a client its kind is unknown.
                bool isRequest = (string)vector["code"] != "NPC201" && code == "NPC203";
                // A welcome without its fields is a reply that a client can read.
                bool isReply = (string)vector["name"] == "a kind of the other direction";
                Check.That(isRequest || isReply || code == (string)vector["code"], vector["name"] + ": " + code);
            }
        }

        private static void RefusesPrefixes(string vectors)
        {
            foreach (Dictionary<string, object> vector in Load(vectors, "messages.json", "messages"))
            {
                byte[] frame = Bytes(vector["hex"]);
                for (int length = 0; length < frame.Length; length++)
                {
                    var part = new byte[length];
                    Buffer.BlockCopy(frame, 0, part, 0, length);
                    Check.Code("NPC201", () => MessagePackReader.ReadMessage(part, new CodecLimits()));
                }
            }
        }

        private static void RandomBytes()
        {
            var random = new Random(20240607);
            for (int i = 0; i < NumRandomFrames; i++)
            {
                var frame = new byte[random.Next(300)];
                random.NextBytes(frame);
                if (i % 2 == 0 && frame.Length > 0)
                {
                    frame[0] = (byte)(0x80 | random.Next(16));
                }
                TakesOrRefuses(frame);
            }
        }

        private static void Mutations(string vectors)
        {
            var random = new Random(20240608);
            List<object> messages = Load(vectors, "messages.json", "messages");
            for (int i = 0; i < NumRandomFrames; i++)
            {
                byte[] frame = Bytes(((Dictionary<string, object>)messages[random.Next(messages.Count)])["hex"]);
                for (int change = random.Next(1, 4); change > 0; change--)
                {
                    frame[random.Next(frame.Length)] = (byte)random.Next(256);
                }
                Array.Resize(ref frame, random.Next(4) == 0 ? random.Next(frame.Length + 1) : frame.Length);
                TakesOrRefuses(frame);
            }
        }

        private static void TakesOrRefuses(byte[] frame)
        {
            try
            {
                Dictionary<string, object> fields = MessagePackReader.ReadMessage(frame, new CodecLimits());
                // What was taken can be sent again and means the same.
                byte[] again = MessagePackWriter.WriteMessage(fields, new CodecLimits());
                Check.Equal(fields, MessagePackReader.ReadMessage(again, new CodecLimits()));
                ReplyParser.Parse(fields);
            }
            catch (NpcEngineException)
            {
                // A coded error is an answer; any other exception fails the test.
            }
        }

        private static void RefusesToEncode()
        {
            var limits = new CodecLimits(1000, 3);
            Action<object, string> refused = (value, code) =>
                Check.Code(code, () => MessagePackWriter.WriteMessage(new Dictionary<string, object> { { "x", value } }, limits));
            refused(double.NaN, "NPC201");
            refused(float.PositiveInfinity, "NPC201");
            refused(ulong.MaxValue, "NPC201");
            refused(new DateTime(2024, 1, 1), "NPC201");
            refused('c', "NPC201");
            refused(1.5m, "NPC201");
            refused("half a pair \ud800", "NPC201");
            refused(new Dictionary<int, string> { { 1, "a" } }, "NPC201");
            refused(new object[] { new object[] { new object[0] } }, "NPC201");
            refused(new int[4097], "NPC201");
            refused(new string('a', 1000), "NPC206");
        }

        private static void Boundaries()
        {
            var values = new List<object> { "", new string('é', 15), new string('é', 16), new string('x', 255), new string('x', 256), new string('x', 65536) };
            for (int bits = 0; bits < 63; bits++)
            {
                long power = 1L << bits;
                values.AddRange(new object[] { power - 1, power, -power, -power - 1 });
            }
            values.AddRange(new object[] { long.MaxValue, long.MinValue, 0.1, -1e300, double.Epsilon, true, null });
            foreach (int count in new[] { 15, 16, 4096 })
            {
                var list = new List<object>();
                var map = new Dictionary<string, object>();
                for (int i = 0; i < count; i++)
                {
                    list.Add(i % 7 == 0 ? null : (object)(long)i);
                    map.Add("k" + i, (long)i);
                }
                values.Add(list);
                values.Add(map);
            }
            var message = new Dictionary<string, object> { { "x", values } };
            byte[] frame = MessagePackWriter.WriteMessage(message, new CodecLimits());
            Check.That(Check.Same(message, MessagePackReader.ReadMessage(frame, new CodecLimits())), "a boundary changed on its way");
        }
    }
}
