using System;

namespace NpcEngine.Curve
{
    /// <summary>The Poly1305 authenticator, with 5 limbs of 26 bits.</summary>
    internal static class Poly1305
    {
        private const uint Mask26 = 0x3ffffff;

        /// <summary>The 16 bytes that authenticate the data under a one-time key of 32 bytes.</summary>
        public static byte[] Authenticate(byte[] key, byte[] data, int offset, int count)
        {
            ulong r0 = Word(key, 0) & 0x3ffffff, r1 = (Word(key, 3) >> 2) & 0x3ffff03, r2 = (Word(key, 6) >> 4) & 0x3ffc0ff;
            ulong r3 = (Word(key, 9) >> 6) & 0x3f03fff, r4 = (Word(key, 12) >> 8) & 0x00fffff;
            ulong s1 = r1 * 5, s2 = r2 * 5, s3 = r3 * 5, s4 = r4 * 5;
            ulong h0 = 0, h1 = 0, h2 = 0, h3 = 0, h4 = 0;
            var block = new byte[17];
            for (int done = 0; done < count; done += 16)
            {
                int length = Math.Min(16, count - done);
                Array.Clear(block, 0, 17);
                Buffer.BlockCopy(data, offset + done, block, 0, length);
                block[length] = 1;
                h0 += Word(block, 0) & Mask26;
                h1 += (Word(block, 3) >> 2) & Mask26;
                h2 += (Word(block, 6) >> 4) & Mask26;
                h3 += (Word(block, 9) >> 6) & Mask26;
                h4 += (Word(block, 12) >> 8) | ((ulong)block[16] << 24);
                ulong d0 = h0 * r0 + h1 * s4 + h2 * s3 + h3 * s2 + h4 * s1;
                ulong d1 = h0 * r1 + h1 * r0 + h2 * s4 + h3 * s3 + h4 * s2;
                ulong d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s4 + h4 * s3;
                ulong d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s4;
                ulong d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0;
                d1 += d0 >> 26;
                d2 += d1 >> 26;
                d3 += d2 >> 26;
                d4 += d3 >> 26;
                h0 = (d0 & Mask26) + (d4 >> 26) * 5;
                h1 = (d1 & Mask26) + (h0 >> 26);
                h0 &= Mask26;
                h2 = d2 & Mask26;
                h3 = d3 & Mask26;
                h4 = d4 & Mask26;
            }
            return Finish(key, h0, h1, h2, h3, h4);
        }

        private static byte[] Finish(byte[] key, ulong h0, ulong h1, ulong h2, ulong h3, ulong h4)
        {
            h2 += h1 >> 26;
            h1 &= Mask26;
            h3 += h2 >> 26;
            h2 &= Mask26;
            h4 += h3 >> 26;
            h3 &= Mask26;
            h0 += (h4 >> 26) * 5;
            h4 &= Mask26;
            h1 += h0 >> 26;
            h0 &= Mask26;
            // h minus 2^130 - 5, kept where that is not negative; chosen by masks, not by a branch.
            ulong g0 = h0 + 5, g1 = h1 + (g0 >> 26), g2 = h2 + (g1 >> 26), g3 = h3 + (g2 >> 26);
            ulong g4 = unchecked(h4 + (g3 >> 26) - (1UL << 26));
            ulong keep = unchecked((g4 >> 63) - 1);
            h0 = (h0 & ~keep) | (g0 & Mask26 & keep);
            h1 = (h1 & ~keep) | (g1 & Mask26 & keep);
            h2 = (h2 & ~keep) | (g2 & Mask26 & keep);
            h3 = (h3 & ~keep) | (g3 & Mask26 & keep);
            h4 = (h4 & ~keep) | (g4 & Mask26 & keep);
            ulong[] words =
            {
                (h0 | (h1 << 26)) & uint.MaxValue, ((h1 >> 6) | (h2 << 20)) & uint.MaxValue,
                ((h2 >> 12) | (h3 << 14)) & uint.MaxValue, ((h3 >> 18) | (h4 << 8)) & uint.MaxValue,
            };
            var tag = new byte[16];
            ulong carry = 0;
            for (int i = 0; i < 4; i++)
            {
                carry += words[i] + Word(key, 16 + 4 * i);
                for (int j = 0; j < 4; j++)
                {
                    tag[4 * i + j] = (byte)(carry >> (8 * j));
                }
                carry >>= 32;
            }
            return tag;
        }

        private static ulong Word(byte[] bytes, int at)
        {
            return bytes[at] | ((ulong)bytes[at + 1] << 8) | ((ulong)bytes[at + 2] << 16) | ((ulong)bytes[at + 3] << 24);
        }
    }
}
