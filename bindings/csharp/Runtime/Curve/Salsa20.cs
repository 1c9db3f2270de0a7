using System;
using System.Text;

namespace NpcEngine.Curve
{
    /// <summary>HSalsa20 and the XSalsa20 key stream.</summary>
    internal static class Salsa20
    {
        private static readonly uint[] Sigma = Words(Encoding.ASCII.GetBytes("expand 32-byte k"), 0, 4);

        /// <summary>A key of 32 bytes from a key and 16 bytes of input.</summary>
        public static byte[] Hash(byte[] key, byte[] input, int inputOffset)
        {
            uint[] x = Layout(key, Words(input, inputOffset, 4));
            Rounds(x);
            var output = new byte[32];
            int[] kept = { 0, 5, 10, 15, 6, 7, 8, 9 };
            for (int i = 0; i < kept.Length; i++)
            {
                Store(output, 4 * i, x[kept[i]]);
            }
            return output;
        }

        /// <summary>Combines bytes with the XSalsa20 key stream, in place; `skip` bytes of the stream go unused first.</summary>
        /// <returns>The first 32 bytes of the stream.</returns>
        public static byte[] Combine(byte[] key, byte[] nonce, byte[] data, int offset, int count, int skip)
        {
            byte[] subkey = Hash(key, nonce, 0);
            uint[] input = Layout(subkey, Words(nonce, 16, 2));
            var block = new byte[64];
            var first = new byte[32];
            long at = 0;
            int done = 0;
            do
            {
                Block(input, block);
                if (at == 0)
                {
                    Buffer.BlockCopy(block, 0, first, 0, 32);
                }
                for (int i = (int)Math.Max(0, skip - at); i < 64 && done < count; i++, done++)
                {
                    data[offset + done] ^= block[i];
                }
                at += 64;
                if (++input[8] == 0)
                {
                    input[9]++;
                }
            }
            while (done < count);
            return first;
        }

        private static uint[] Layout(byte[] key, uint[] middle)
        {
            uint[] k = Words(key, 0, 8);
            return new[]
            {
                Sigma[0], k[0], k[1], k[2],
                k[3], Sigma[1], middle[0], middle[1],
                middle.Length > 2 ? middle[2] : 0, middle.Length > 2 ? middle[3] : 0, Sigma[2], k[4],
                k[5], k[6], k[7], Sigma[3],
            };
        }

        private static void Block(uint[] input, byte[] output)
        {
            var x = (uint[])input.Clone();
            Rounds(x);
            for (int i = 0; i < 16; i++)
            {
                Store(output, 4 * i, unchecked(x[i] + input[i]));
            }
        }

        private static void Rounds(uint[] x)
        {
            for (int i = 0; i < 10; i++)
            {
                Quarter(x, 0, 4, 8, 12);
                Quarter(x, 5, 9, 13, 1);
                Quarter(x, 10, 14, 2, 6);
                Quarter(x, 15, 3, 7, 11);
                Quarter(x, 0, 1, 2, 3);
                Quarter(x, 5, 6, 7, 4);
                Quarter(x, 10, 11, 8, 9);
                Quarter(x, 15, 12, 13, 14);
            }
        }

        private static void Quarter(uint[] x, int a, int b, int c, int d)
        {
            unchecked
            {
                x[b] ^= Rotate(x[a] + x[d], 7);
                x[c] ^= Rotate(x[b] + x[a], 9);
                x[d] ^= Rotate(x[c] + x[b], 13);
                x[a] ^= Rotate(x[d] + x[c], 18);
            }
        }

        private static uint Rotate(uint value, int count)
        {
            return (value << count) | (value >> (32 - count));
        }

        private static uint[] Words(byte[] bytes, int offset, int count)
        {
            var words = new uint[count];
            for (int i = 0; i < count; i++)
            {
                int at = offset + 4 * i;
                words[i] = bytes[at] | ((uint)bytes[at + 1] << 8) | ((uint)bytes[at + 2] << 16) | ((uint)bytes[at + 3] << 24);
            }
            return words;
        }

        private static void Store(byte[] bytes, int at, uint word)
        {
            bytes[at] = (byte)word;
            bytes[at + 1] = (byte)(word >> 8);
            bytes[at + 2] = (byte)(word >> 16);
            bytes[at + 3] = (byte)(word >> 24);
        }
    }
}
