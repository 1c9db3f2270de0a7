using System;
using NpcEngine.Curve;

namespace NpcEngine
{
    /// <summary>What a client needs to talk to a server with CURVE keys.</summary>
    public sealed class CurveKeys
    {
        /// <summary>Takes keys as Z85 text, 40 characters each.</summary>
        /// <param name="serverPublicKey">The server's public key.</param>
        /// <param name="publicKey">This client's public key; the server must know it.</param>
        /// <param name="secretKey">This client's secret key.</param>
        /// <exception cref="NpcEngineException">NPC001: one of them is no key.</exception>
        public CurveKeys(string serverPublicKey, string publicKey, string secretKey)
        {
            ServerPublic = Z85.DecodeKey(serverPublicKey, "server's public key");
            Public = Z85.DecodeKey(publicKey, "client's public key");
            Secret = Z85.DecodeKey(secretKey, "client's secret key");
        }

        internal byte[] ServerPublic { get; }

        internal byte[] Public { get; }

        internal byte[] Secret { get; }

        /// <summary>Reads keys from the texts of two files of a key folder.</summary>
        /// <param name="serverKey">The text of server.key.</param>
        /// <param name="clientSecretKey">The text of game.key_secret.</param>
        /// <exception cref="NpcEngineException">NPC001: a text does not hold what it should.</exception>
        public static CurveKeys FromCertificates(string serverKey, string clientSecretKey)
        {
            return new CurveKeys(
                Value(serverKey, "public-key"), Value(clientSecretKey, "public-key"), Value(clientSecretKey, "secret-key"));
        }

        private static string Value(string certificate, string name)
        {
            foreach (string line in certificate.Split('\n'))
            {
                string trimmed = line.Trim();
                int first = trimmed.IndexOf('"');
                int last = trimmed.LastIndexOf('"');
                if (trimmed.StartsWith(name, StringComparison.Ordinal) && last > first)
                {
                    return trimmed.Substring(first + 1, last - first - 1);
                }
            }
            throw new NpcEngineException(
                ErrorCode.Config, "a key file holds no " + name, "make keys with `npc-engine serve --generate-keys DIR`");
        }
    }
}
