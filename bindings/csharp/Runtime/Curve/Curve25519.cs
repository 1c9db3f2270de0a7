namespace NpcEngine.Curve
{
    /// <summary>
    /// X25519 after TweetNaCl (public domain): a field element is 16 limbs of 16 bits. No branch and no index depends on a
    /// secret.
    /// </summary>
    internal static class Curve25519
    {
        private static readonly byte[] BasePoint = MakeBasePoint();

        /// <summary>The public key of a secret key.</summary>
        public static byte[] PublicKey(byte[] secret)
        {
            return Multiply(secret, BasePoint);
        }

        /// <summary>A point times a scalar, 32 bytes each.</summary>
        public static byte[] Multiply(byte[] scalar, byte[] point)
        {
            var z = (byte[])scalar.Clone();
            z[31] = (byte)((z[31] & 127) | 64);
            z[0] &= 248;
            long[] x = Unpack(point);
            long[] a = new long[16], b = (long[])x.Clone(), c = new long[16], d = new long[16], e = new long[16], f = new long[16];
            var factor = new long[16];
            factor[0] = 0xdb41;
            factor[1] = 1;
            a[0] = d[0] = 1;
            for (int i = 254; i >= 0; i--)
            {
                long bit = (z[i >> 3] >> (i & 7)) & 1;
                Swap(a, b, bit);
                Swap(c, d, bit);
                Add(e, a, c);
                Subtract(a, a, c);
                Add(c, b, d);
                Subtract(b, b, d);
                Multiply(d, e, e);
                Multiply(f, a, a);
                Multiply(a, c, a);
                Multiply(c, b, e);
                Add(e, a, c);
                Subtract(a, a, c);
                Multiply(b, a, a);
                Subtract(c, d, f);
                Multiply(a, c, factor);
                Add(a, a, d);
                Multiply(c, c, a);
                Multiply(a, d, f);
                Multiply(d, b, x);
                Multiply(b, e, e);
                Swap(a, b, bit);
                Swap(c, d, bit);
            }
            Invert(c);
            Multiply(a, a, c);
            return Pack(a);
        }

        private static byte[] MakeBasePoint()
        {
            var point = new byte[32];
            point[0] = 9;
            return point;
        }

        private static void Swap(long[] p, long[] q, long bit)
        {
            long mask = ~(bit - 1);
            for (int i = 0; i < 16; i++)
            {
                long t = mask & (p[i] ^ q[i]);
                p[i] ^= t;
                q[i] ^= t;
            }
        }

        private static void Add(long[] o, long[] a, long[] b)
        {
            for (int i = 0; i < 16; i++)
            {
                o[i] = a[i] + b[i];
            }
        }

        private static void Subtract(long[] o, long[] a, long[] b)
        {
            for (int i = 0; i < 16; i++)
            {
                o[i] = a[i] - b[i];
            }
        }

        private static void Multiply(long[] o, long[] a, long[] b)
        {
            var t = new long[31];
            for (int i = 0; i < 16; i++)
            {
                for (int j = 0; j < 16; j++)
                {
                    t[i + j] += a[i] * b[j];
                }
            }
            for (int i = 0; i < 15; i++)
            {
                t[i] += 38 * t[i + 16];
            }
            System.Array.Copy(t, o, 16);
            Carry(o);
            Carry(o);
        }

        private static void Carry(long[] o)
        {
            for (int i = 0; i < 16; i++)
            {
                o[i] += 1L << 16;
                long c = o[i] >> 16;
                if (i < 15)
                {
                    o[i + 1] += c - 1;
                }
                else
                {
                    o[0] += 38 * (c - 1);
                }
                o[i] -= c << 16;
            }
        }

        private static void Invert(long[] o)
        {
            var c = (long[])o.Clone();
            for (int a = 253; a >= 0; a--)
            {
                Multiply(c, c, c);
                if (a != 2 && a != 4)
                {
                    Multiply(c, c, o);
                }
            }
            System.Array.Copy(c, o, 16);
        }

        private static long[] Unpack(byte[] n)
        {
            var o = new long[16];
            for (int i = 0; i < 16; i++)
            {
                o[i] = n[2 * i] + ((long)n[2 * i + 1] << 8);
            }
            o[15] &= 0x7fff;
            return o;
        }

        private static byte[] Pack(long[] n)
        {
            var t = (long[])n.Clone();
            var m = new long[16];
            Carry(t);
            Carry(t);
            Carry(t);
            for (int j = 0; j < 2; j++)
            {
                m[0] = t[0] - 0xffed;
                for (int i = 1; i < 15; i++)
                {
                    m[i] = t[i] - 0xffff - ((m[i - 1] >> 16) & 1);
                    m[i - 1] &= 0xffff;
                }
                m[15] = t[15] - 0x7fff - ((m[14] >> 16) & 1);
                long b = (m[15] >> 16) & 1;
                m[14] &= 0xffff;
                Swap(t, m, 1 - b);
            }
            var o = new byte[32];
            for (int i = 0; i < 16; i++)
            {
                o[2 * i] = (byte)t[i];
                o[2 * i + 1] = (byte)(t[i] >> 8);
            }
            return o;
        }
    }
}
