using System;
using System.Collections.Generic;
using System.Security.Cryptography;
using System.Text;
using NpcEngine.Curve;

namespace NpcEngine.Tests
{
    /// <summary>The cryptography against libsodium and RFC 7748. The handshake is tested against libzmq by the conformance runner.</summary>
    internal static class CurveTests
    {
        // Message length; SHA-256 of the other side's public key and the box, as libsodium 1.0.20 makes them. Every input is
        // the SHA-256 of a letter and the length.
        private static readonly string[,] Boxes =
        {
            { "0", "0137c9f2008215ab4acccdc325c57a8fba7cfda7def75bd127842987ea393479" },
            { "1", "4280ffca4aeb7906a70468637eb0a83904567e63fcd13beaa9697e59c99af35a" },
            { "31", "663bd76c1a158171f4adb3270308b7ccfb59bcb9fa7fd2bfde846ad2cfca5e50" },
            { "32", "f19013a651d8fb6aa48511051d3843f7cf75f4eae21a8145e770e7565e7e3a61" },
            { "33", "a683e7470797482bde183e5bc026a7395e52dbfe2b72228394b8763b7f0da157" },
            { "64", "53c362c71eb2a73ca7e116eaefb9dda42d31fca7658710204e9c6dd848cce4af" },
            { "131", "3eab68fcd91bf6d29c065af8843344818d3aa680b5e0c46626061d1834870fd0" },
            { "1000", "8cd9ec58da8717253f37260fe4dbc686e6125e7402bfa5bd56556cd5c5c9c4d9" },
        };

        public static void AddTo(Dictionary<string, Action> tests)
        {
            tests.Add("curve: X25519 as in RFC 7748, a thousand times over", Iterated);
            tests.Add("curve: boxes are those of libsodium, and open again", BoxesAgree);
            tests.Add("curve: a box with any bit changed does not open", Tampered);
            tests.Add("curve: Z85 keys and certificates are read, others refused", Keys);
        }

        private static byte[] Sha(string text)
        {
            return Sha(Encoding.ASCII.GetBytes(text));
        }

        private static byte[] Sha(byte[] bytes)
        {
            using (SHA256 sha = SHA256.Create())
            {
                return sha.ComputeHash(bytes);
            }
        }

        private static string Hex(byte[] bytes)
        {
            return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
        }

        private static byte[] Message(int length)
        {
            var message = new byte[length];
            for (int at = 0; at < length; at += 32)
            {
                Buffer.BlockCopy(Sha("m" + length + "-" + at / 32), 0, message, at, Math.Min(32, length - at));
            }
            return message;
        }

        private static void Iterated()
        {
            var k = new byte[32];
            k[0] = 9;
            var u = (byte[])k.Clone();
            for (int i = 0; i < 1000; i++)
            {
                byte[] result = Curve25519.Multiply(k, u);
                u = k;
                k = result;
                if (i == 0)
                {
                    Check.Equal("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", Hex(k));
                }
            }
            Check.Equal("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", Hex(k));
        }

        private static void BoxesAgree()
        {
            for (int i = 0; i < Boxes.GetLength(0); i++)
            {
                int length = int.Parse(Boxes[i, 0]);
                byte[] mine = Sha("a" + length), theirs = Sha("b" + length), nonce = Sha("n" + length);
                Array.Resize(ref nonce, 24);
                byte[] theirPublic = Curve25519.PublicKey(theirs);
                byte[] box = new CryptoBox(theirPublic, mine).Seal(nonce, Message(length));
                var both = new byte[32 + box.Length];
                Buffer.BlockCopy(theirPublic, 0, both, 0, 32);
                Buffer.BlockCopy(box, 0, both, 32, box.Length);
                Check.Equal(Boxes[i, 1], Hex(Sha(both)), "box of " + length + " bytes:");
                byte[] opened = new CryptoBox(Curve25519.PublicKey(mine), theirs).Open(nonce, box, 0);
                Check.Equal(Hex(Message(length)), Hex(opened));
            }
        }

        private static void Tampered()
        {
            var box = new CryptoBox(Curve25519.PublicKey(Sha("b")), Sha("a"));
            byte[] nonce = new byte[24];
            byte[] good = box.Seal(nonce, Message(40));
            for (int bit = 0; bit < 8 * good.Length; bit++)
            {
                var bad = (byte[])good.Clone();
                bad[bit / 8] ^= (byte)(1 << (bit % 8));
                Check.That(box.Open(nonce, bad, 0) == null, "bit " + bit + " was changed and the box opened");
            }
            Check.That(box.Open(nonce, new byte[15], 0) == null, "a box shorter than its tag opened");
        }

        private static void Keys()
        {
            const string server = "xUaa#:NJ4bFpKvD8OtRlmoP$jk-&Xfvinn<eEX}3", mine = "55n5xn4W4zu4+TvEy:6!deAh-{X4Lcm#gWCS61:l";
            const string secret = "3rWxvYB.B1j+[>X=[0<IacB/Nq5{TvXr>%CzzE{/";
            var keys = CurveKeys.FromCertificates(
                "#  comment\n\nmetadata\ncurve\n    public-key = \"" + server + "\"\n",
                "metadata\r\ncurve\r\n    public-key = \"" + mine + "\"\r\n    secret-key = \"" + secret + "\"\r\n");
            Check.Equal(Hex(keys.Public), Hex(Curve25519.PublicKey(keys.Secret)));
            Check.Code("NPC001", () => new CurveKeys(server, mine, "short"));
            Check.Code("NPC001", () => new CurveKeys(server, mine, new string(' ', 40)));
            Check.Code("NPC001", () => new CurveKeys(new string('#', 40), mine, secret));
            Check.Code("NPC001", () => CurveKeys.FromCertificates("curve\n", "curve\n"));
        }
    }
}
