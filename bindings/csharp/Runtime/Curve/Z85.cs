using System;

namespace NpcEngine.Curve
{
    /// <summary>ZeroMQ's text form of binary data: 5 characters for 4 bytes.</summary>
    internal static class Z85
    {
        private const string Alphabet =
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

        /// <summary>Decodes a key of 40 characters to 32 bytes.</summary>
        /// <exception cref="NpcEngineException">NPC001: the text is no key. It is not repeated in the message.</exception>
        public static byte[] DecodeKey(string text, string what)
        {
            if (text == null || text.Length != 40)
            {
                throw NoKey(what);
            }
            var key = new byte[32];
            for (int group = 0; group < 8; group++)
            {
                ulong value = 0;
                for (int i = 0; i < 5; i++)
                {
                    int digit = Alphabet.IndexOf(text[5 * group + i]);
                    if (digit < 0)
                    {
                        throw NoKey(what);
                    }
                    value = value * 85 + (ulong)digit;
                }
                if (value > uint.MaxValue)
                {
                    throw NoKey(what);
                }
                for (int i = 0; i < 4; i++)
                {
                    key[4 * group + i] = (byte)(value >> (24 - 8 * i));
                }
            }
            return key;
        }

        private static NpcEngineException NoKey(string what)
        {
            return new NpcEngineException(
                ErrorCode.Config, "the " + what + " is no CURVE key", "40 characters, from a file of `npc-engine serve --generate-keys DIR`");
        }
    }
}
