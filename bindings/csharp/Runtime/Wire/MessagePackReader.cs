using System;
using System.Collections.Generic;
using System.Text;

namespace NpcEngine.Wire
{
    /// <summary>
    /// One frame to plain data: null, bool, long, double, string, List of object and Dictionary of string to object.
    /// Refuses what the protocol refuses: binary and extension types, NaN and infinities, keys that are no text or come twice,
    /// integers beyond 64 signed bits, and bytes behind the map.
    /// </summary>
    internal struct MessagePackReader
    {
        private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);

        private readonly byte[] _frame;
        private readonly int _maxDepth;
        private int _at;

        private MessagePackReader(byte[] frame, int maxDepth)
        {
            _frame = frame;
            _maxDepth = maxDepth;
            _at = 0;
        }

        /// <summary>Decodes one frame.</summary>
        /// <exception cref="NpcEngineException">NPC206 for a frame that is too large, NPC201 for any other fault.</exception>
        public static Dictionary<string, object> ReadMessage(byte[] frame, CodecLimits limits)
        {
            if (frame.Length > limits.MaxFrameBytes)
            {
                throw MessagePackWriter.FrameTooLarge(frame.Length, limits.MaxFrameBytes);
            }
            var reader = new MessagePackReader(frame, limits.MaxDepth);
            var fields = reader.ReadValue(1) as Dictionary<string, object>;
            if (fields == null)
            {
                throw Malformed("a message is a msgpack map");
            }
            if (reader._at != frame.Length)
            {
                throw Malformed("there are bytes behind the map");
            }
            return fields;
        }

        private object ReadValue(int depth)
        {
            byte head = Next();
            if (head <= 0x7f)
            {
                return (long)head;
            }
            if (head >= 0xe0)
            {
                return (long)(sbyte)head;
            }
            if (head <= 0x8f)
            {
                return ReadMap(head & 0x0f, depth);
            }
            if (head <= 0x9f)
            {
                return ReadArray(head & 0x0f, depth);
            }
            if (head <= 0xbf)
            {
                return ReadText(head & 0x1f);
            }
            switch (head)
            {
                case 0xc0: return null;
                case 0xc2: return false;
                case 0xc3: return true;
                case 0xca: return Finite(ReadSingle());
                case 0xcb: return Finite(BitConverter.Int64BitsToDouble((long)BigEndian(8)));
                case 0xcc: return (long)BigEndian(1);
                case 0xcd: return (long)BigEndian(2);
                case 0xce: return (long)BigEndian(4);
                case 0xcf: return Signed(BigEndian(8));
                case 0xd0: return (long)(sbyte)BigEndian(1);
                case 0xd1: return (long)(short)BigEndian(2);
                case 0xd2: return (long)(int)BigEndian(4);
                case 0xd3: return (long)BigEndian(8);
                case 0xd9: return ReadText((long)BigEndian(1));
                case 0xda: return ReadText((long)BigEndian(2));
                case 0xdb: return ReadText((long)BigEndian(4));
                case 0xdc: return ReadArray((long)BigEndian(2), depth);
                case 0xdd: return ReadArray((long)BigEndian(4), depth);
                case 0xde: return ReadMap((long)BigEndian(2), depth);
                case 0xdf: return ReadMap((long)BigEndian(4), depth);
                default:
                    throw Malformed("a byte 0x" + head.ToString("x2") + " is no type that a message may hold");
            }
        }

        private Dictionary<string, object> ReadMap(long count, int depth)
        {
            CheckCollection(count, 2 * count, depth);
            var map = new Dictionary<string, object>((int)count, StringComparer.Ordinal);
            for (long i = 0; i < count; i++)
            {
                var key = ReadValue(depth + 1) as string;
                if (key == null)
                {
                    throw Malformed("a map key is not text");
                }
                if (map.ContainsKey(key))
                {
                    throw Malformed("a map has the same key twice");
                }
                map.Add(key, ReadValue(depth + 1));
            }
            return map;
        }

        private List<object> ReadArray(long count, int depth)
        {
            CheckCollection(count, count, depth);
            var items = new List<object>((int)count);
            for (long i = 0; i < count; i++)
            {
                items.Add(ReadValue(depth + 1));
            }
            return items;
        }

        // Before anything is allocated: a header may promise more than the frame holds.
        private void CheckCollection(long count, long minBytes, int depth)
        {
            if (depth > _maxDepth)
            {
                throw Malformed("nested too deep");
            }
            if (count > CodecLimits.MaxItems)
            {
                throw Malformed("a map or array of " + count + " items; at most " + CodecLimits.MaxItems + " are accepted");
            }
            if (minBytes > _frame.Length - _at)
            {
                throw CutShort();
            }
        }

        private string ReadText(long length)
        {
            if (length > _frame.Length - _at)
            {
                throw CutShort();
            }
            int start = _at;
            _at += (int)length;
            try
            {
                return Utf8.GetString(_frame, start, (int)length);
            }
            catch (ArgumentException)
            {
                throw Malformed("text is not UTF-8");
            }
        }

        private double ReadSingle()
        {
            int bits = (int)BigEndian(4);
            // BitConverter.Int32BitsToSingle is not in netstandard2.0.
            byte[] bytes = BitConverter.GetBytes(bits);
            return BitConverter.ToSingle(bytes, 0);
        }

        private ulong BigEndian(int width)
        {
            if (width > _frame.Length - _at)
            {
                throw CutShort();
            }
            ulong value = 0;
            for (int i = 0; i < width; i++)
            {
                value = (value << 8) | _frame[_at++];
            }
            return value;
        }

        private byte Next()
        {
            if (_at >= _frame.Length)
            {
                throw CutShort();
            }
            return _frame[_at++];
        }

        private static long Signed(ulong value)
        {
            if (value > long.MaxValue)
            {
                throw Malformed("an integer does not fit 64 signed bits");
            }
            return (long)value;
        }

        private static double Finite(double value)
        {
            if (double.IsNaN(value) || double.IsInfinity(value))
            {
                throw Malformed("a number is NaN or infinite");
            }
            return value;
        }

        private static NpcEngineException CutShort()
        {
            return Malformed("the frame is cut short");
        }

        private static NpcEngineException Malformed(string message)
        {
            return new NpcEngineException(ErrorCode.MalformedMessage, message, "see whether client and server are of the same version");
        }
    }
}
