using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace NpcEngine.Wire
{
    /// <summary>
    /// Plain data to one frame. Takes null, bool, every integer type, float, double, string, maps with string keys and any
    /// sequence. Writes the shortest form of everything.
    /// </summary>
    internal sealed class MessagePackWriter
    {
        private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);

        private readonly int _maxDepth;
        private byte[] _bytes = new byte[256];
        private int _length;

        private MessagePackWriter(int maxDepth)
        {
            _maxDepth = maxDepth;
        }

        /// <summary>Encodes one message.</summary>
        /// <exception cref="NpcEngineException">
        /// NPC201 for data that has no place in a message, NPC206 for a message that is too large.
        /// </exception>
        public static byte[] WriteMessage(IDictionary fields, CodecLimits limits)
        {
            var writer = new MessagePackWriter(limits.MaxDepth);
            writer.Write(fields, 1);
            if (writer._length > limits.MaxFrameBytes)
            {
                throw FrameTooLarge(writer._length, limits.MaxFrameBytes);
            }
            var frame = new byte[writer._length];
            Buffer.BlockCopy(writer._bytes, 0, frame, 0, frame.Length);
            return frame;
        }

        /// <summary>The error for a frame beyond the limit, in either direction.</summary>
        public static NpcEngineException FrameTooLarge(long length, long limit)
        {
            return new NpcEngineException(
                ErrorCode.FrameTooLarge,
                "a frame of " + length + " bytes; at most " + limit + " are accepted",
                "shorten the text or the data; the limit is max_frame_bytes");
        }

        private void Write(object value, int depth)
        {
            if (value == null)
            {
                Put(0xc0);
            }
            else if (value is bool)
            {
                Put((bool)value ? (byte)0xc3 : (byte)0xc2);
            }
            else if (value is string)
            {
                WriteText((string)value);
            }
            else if (value is float || value is double)
            {
                WriteDouble(Convert.ToDouble(value, CultureInfo.InvariantCulture));
            }
            else if (value is ulong)
            {
                WriteUnsigned((ulong)value);
            }
            else if (value is long || value is int || value is short || value is sbyte || value is byte || value is ushort || value is uint)
            {
                WriteInteger(Convert.ToInt64(value, CultureInfo.InvariantCulture));
            }
            else if (value is IDictionary)
            {
                WriteMap((IDictionary)value, depth);
            }
            else if (value is IEnumerable<KeyValuePair<string, object>>)
            {
                WriteMap(Copy((IEnumerable<KeyValuePair<string, object>>)value), depth);
            }
            else if (value is IEnumerable)
            {
                WriteArray((IEnumerable)value, depth);
            }
            else
            {
                throw Malformed(
                    "data of type " + value.GetType().Name + " has no place in a message",
                    "null, booleans, integers, floats, text, lists and string-keyed maps only");
            }
        }

        // Read-only maps, such as an action's arguments, are no IDictionary by their interface.
        private static Dictionary<string, object> Copy(IEnumerable<KeyValuePair<string, object>> entries)
        {
            var map = new Dictionary<string, object>();
            foreach (KeyValuePair<string, object> entry in entries)
            {
                map[entry.Key] = entry.Value;
            }
            return map;
        }

        private void WriteMap(IDictionary map, int depth)
        {
            Open(0x80, 0xde, 16, map.Count, depth);
            foreach (DictionaryEntry entry in map)
            {
                WriteText(entry.Key as string ?? throw Malformed("a map key is not text", "write every key as text"));
                Write(entry.Value, depth + 1);
            }
        }

        private void WriteArray(IEnumerable items, int depth)
        {
            var known = items as ICollection;
            if (known == null)
            {
                var copy = new List<object>();
                foreach (object item in items)
                {
                    copy.Add(item);
                    CheckCount(copy.Count);
                }
                known = copy;
            }
            Open(0x90, 0xdc, 16, known.Count, depth);
            foreach (object item in known)
            {
                Write(item, depth + 1);
            }
        }

        private void Open(int shortHead, int longHead, int shortLimit, int count, int depth)
        {
            if (depth > _maxDepth)
            {
                throw Malformed("nested too deep", "the limit is max_message_depth");
            }
            CheckCount(count);
            if (count < shortLimit)
            {
                Put((byte)(shortHead | count));
            }
            else
            {
                Put((byte)longHead);
                BigEndian((ulong)count, 2);
            }
        }

        private static void CheckCount(int count)
        {
            if (count > CodecLimits.MaxItems)
            {
                throw Malformed("a map or array of more than " + CodecLimits.MaxItems + " items", "send less data");
            }
        }

        private void WriteText(string text)
        {
            int length;
            try
            {
                length = Utf8.GetByteCount(text);
            }
            catch (ArgumentException)
            {
                throw Malformed("text holds half of a surrogate pair", "cut text between characters only");
            }
            if (length < 32)
            {
                Put((byte)(0xa0 | length));
            }
            else if (length < 1 << 8)
            {
                Put(0xd9);
                BigEndian((ulong)length, 1);
            }
            else if (length < 1 << 16)
            {
                Put(0xda);
                BigEndian((ulong)length, 2);
            }
            else
            {
                Put(0xdb);
                BigEndian((ulong)length, 4);
            }
            Reserve(length);
            _length += Utf8.GetBytes(text, 0, text.Length, _bytes, _length);
        }

        private void WriteUnsigned(ulong number)
        {
            if (number > long.MaxValue)
            {
                throw Malformed("an integer does not fit 64 signed bits", "send it as text");
            }
            WriteInteger((long)number);
        }

        private void WriteInteger(long number)
        {
            if (number >= 0)
            {
                if (number < 0x80)
                {
                    Put((byte)number);
                    return;
                }
                int width = number <= byte.MaxValue ? 1 : number <= ushort.MaxValue ? 2 : number <= uint.MaxValue ? 4 : 8;
                Put((byte)(width == 1 ? 0xcc : width == 2 ? 0xcd : width == 4 ? 0xce : 0xcf));
                BigEndian((ulong)number, width);
                return;
            }
            if (number >= -32)
            {
                Put((byte)(sbyte)number);
                return;
            }
            int signedWidth = number >= sbyte.MinValue ? 1 : number >= short.MinValue ? 2 : number >= int.MinValue ? 4 : 8;
            Put((byte)(signedWidth == 1 ? 0xd0 : signedWidth == 2 ? 0xd1 : signedWidth == 4 ? 0xd2 : 0xd3));
            BigEndian((ulong)number, signedWidth);
        }

        private void WriteDouble(double number)
        {
            if (double.IsNaN(number) || double.IsInfinity(number))
            {
                throw Malformed("a number is NaN or infinite", "send null where there is no number");
            }
            Put(0xcb);
            BigEndian((ulong)BitConverter.DoubleToInt64Bits(number), 8);
        }

        private void BigEndian(ulong value, int width)
        {
            Reserve(width);
            for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
            {
                _bytes[_length++] = (byte)(value >> shift);
            }
        }

        private void Put(byte value)
        {
            Reserve(1);
            _bytes[_length++] = value;
        }

        private void Reserve(int count)
        {
            if (count > _bytes.Length - _length)
            {
                Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, checked(_length + count)));
            }
        }

        private static NpcEngineException Malformed(string message, string hint)
        {
            return new NpcEngineException(ErrorCode.MalformedMessage, message, hint);
        }
    }
}
