using System;
using System.Text;

namespace NpcEngine.Curve
{
    /// <summary>NaCl's box (X25519, XSalsa20, Poly1305) under the key that two sides share.</summary>
    internal sealed class CryptoBox
    {
        public const int TagBytes = 16;

        private readonly byte[] _key;

        public CryptoBox(byte[] theirPublic, byte[] mySecret)
        {
            _key = Salsa20.Hash(Curve25519.Multiply(mySecret, theirPublic), new byte[16], 0);
        }

        /// <summary>Encrypts; the result is TagBytes longer.</summary>
        public byte[] Seal(byte[] nonce, byte[] plain)
        {
            var sealedBytes = new byte[TagBytes + plain.Length];
            Buffer.BlockCopy(plain, 0, sealedBytes, TagBytes, plain.Length);
            byte[] tagKey = Salsa20.Combine(_key, nonce, sealedBytes, TagBytes, plain.Length, 32);
            byte[] tag = Poly1305.Authenticate(tagKey, sealedBytes, TagBytes, plain.Length);
            Buffer.BlockCopy(tag, 0, sealedBytes, 0, TagBytes);
            return sealedBytes;
        }

        /// <summary>Decrypts bytes from `offset` to the end; null where they are not authentic.</summary>
        public byte[] Open(byte[] nonce, byte[] source, int offset)
        {
            int count = source.Length - offset - TagBytes;
            if (count < 0)
            {
                return null;
            }
            byte[] tagKey = Salsa20.Combine(_key, nonce, source, 0, 0, 32);
            byte[] tag = Poly1305.Authenticate(tagKey, source, offset + TagBytes, count);
            int difference = 0;
            for (int i = 0; i < TagBytes; i++)
            {
                difference |= tag[i] ^ source[offset + i];
            }
            if (difference != 0)
            {
                return null;
            }
            var plain = new byte[count];
            Buffer.BlockCopy(source, offset + TagBytes, plain, 0, count);
            Salsa20.Combine(_key, nonce, plain, 0, count, 32);
            return plain;
        }

        /// <summary>A nonce of 24 bytes: a prefix of text and the rest.</summary>
        public static byte[] Nonce(string prefix, byte[] rest, int offset)
        {
            var nonce = new byte[24];
            Encoding.ASCII.GetBytes(prefix, 0, prefix.Length, nonce, 0);
            Buffer.BlockCopy(rest, offset, nonce, prefix.Length, 24 - prefix.Length);
            return nonce;
        }
    }
}
