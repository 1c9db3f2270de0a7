using System;
using System.Security.Cryptography;
using NpcEngine.Curve;

namespace NpcEngine.Zmtp
{
    /// <summary>The client's side of CurveZMQ (RFC 26): HELLO, WELCOME, INITIATE, READY, then every frame in a box.</summary>
    internal sealed class CurveMechanism : IMechanism
    {
        private const int HelloPadding = 72;
        private const int WelcomeLength = 168;
        private const int CookieLength = 96;
        private const int MessageHead = 16;

        private readonly CurveKeys _keys;
        private readonly byte[] _transientSecret;
        private readonly byte[] _transientPublic;
        private readonly CryptoBox _toServer;
        private CryptoBox _session;
        private ulong _sentNonce;
        private ulong _receivedNonce;

        public CurveMechanism(CurveKeys keys)
        {
            _keys = keys;
            _transientSecret = Random(32);
            _transientPublic = Curve25519.PublicKey(_transientSecret);
            _toServer = new CryptoBox(keys.ServerPublic, _transientSecret);
        }

        public string Name => "CURVE";

        public int Overhead => MessageHead + CryptoBox.TagBytes + 1;

        public bool IsReady { get; private set; }

        public byte[] Begin()
        {
            byte[] nonce = NextNonce();
            byte[] proof = _toServer.Seal(CryptoBox.Nonce("CurveZMQHELLO---", nonce, 0), new byte[64]);
            return Commands.Make("HELLO", new byte[] { 1, 0 }, new byte[HelloPadding], _transientPublic, nonce, proof);
        }

        public byte[] TakeHandshake(byte[] command)
        {
            string name = Commands.NameOf(command);
            if (name == "ERROR")
            {
                throw Commands.Refusal(command);
            }
            if (name == "WELCOME" && _session == null && command.Length == WelcomeLength)
            {
                return Initiate(command);
            }
            if (name == "READY" && _session != null && command.Length >= 14 + CryptoBox.TagBytes)
            {
                TakeNonce(command, 6);
                byte[] metadata = _session.Open(CryptoBox.Nonce("CurveZMQREADY---", command, 6), command, 14);
                Commands.CheckServerMetadata(metadata ?? throw NotAuthentic(), 0);
                IsReady = true;
                return null;
            }
            throw new ZmtpException("the peer broke the CURVE handshake");
        }

        public WireFrame Encode(byte[] payload, bool isCommand)
        {
            byte[] nonce = NextNonce();
            var plain = new byte[1 + payload.Length];
            plain[0] = isCommand ? (byte)2 : (byte)0;
            Buffer.BlockCopy(payload, 0, plain, 1, payload.Length);
            byte[] box = _session.Seal(CryptoBox.Nonce("CurveZMQMESSAGEC", nonce, 0), plain);
            return new WireFrame { Body = Commands.Make("MESSAGE", nonce, box) };
        }

        public PlainFrame Decode(byte[] body, bool isCommand, bool hasMore)
        {
            if (Commands.NameOf(body) != "MESSAGE" || body.Length < MessageHead + CryptoBox.TagBytes + 1)
            {
                throw new ZmtpException("the peer sent a frame that is not encrypted");
            }
            TakeNonce(body, 8);
            byte[] plain = _session.Open(CryptoBox.Nonce("CurveZMQMESSAGES", body, 8), body, MessageHead);
            if (plain == null)
            {
                throw NotAuthentic();
            }
            var payload = new byte[plain.Length - 1];
            Buffer.BlockCopy(plain, 1, payload, 0, payload.Length);
            return new PlainFrame { Payload = payload, HasMore = (plain[0] & 1) != 0, IsCommand = (plain[0] & 2) != 0 };
        }

        private byte[] Initiate(byte[] welcome)
        {
            byte[] plain = _toServer.Open(CryptoBox.Nonce("WELCOME-", welcome, 8), welcome, 24);
            if (plain == null)
            {
                throw NotAuthentic();
            }
            var serverTransient = new byte[32];
            var cookie = new byte[CookieLength];
            Buffer.BlockCopy(plain, 0, serverTransient, 0, 32);
            Buffer.BlockCopy(plain, 32, cookie, 0, CookieLength);
            _session = new CryptoBox(serverTransient, _transientSecret);

            // The vouch: this client's long-term key says that the transient key is its own.
            var vouched = new byte[64];
            Buffer.BlockCopy(_transientPublic, 0, vouched, 0, 32);
            Buffer.BlockCopy(_keys.ServerPublic, 0, vouched, 32, 32);
            byte[] vouchNonce = Random(16);
            byte[] vouch = new CryptoBox(serverTransient, _keys.Secret).Seal(CryptoBox.Nonce("VOUCH---", vouchNonce, 0), vouched);

            var initiate = new ByteQueue();
            foreach (byte[] part in new[] { _keys.Public, vouchNonce, vouch, Commands.ClientMetadata() })
            {
                initiate.Append(part, 0, part.Length);
            }
            byte[] nonce = NextNonce();
            byte[] box = _session.Seal(CryptoBox.Nonce("CurveZMQINITIATE", nonce, 0), initiate.Take(initiate.Count));
            return Commands.Make("INITIATE", cookie, nonce, box);
        }

        private byte[] NextNonce()
        {
            _sentNonce++;
            var nonce = new byte[8];
            for (int i = 0; i < 8; i++)
            {
                nonce[i] = (byte)(_sentNonce >> (56 - 8 * i));
            }
            return nonce;
        }

        // A frame that was seen before, or held back, is refused.
        private void TakeNonce(byte[] source, int at)
        {
            ulong nonce = 0;
            for (int i = 0; i < 8; i++)
            {
                nonce = (nonce << 8) | source[at + i];
            }
            if (nonce <= _receivedNonce)
            {
                throw NotAuthentic();
            }
            _receivedNonce = nonce;
        }

        private static byte[] Random(int count)
        {
            var bytes = new byte[count];
            using (RandomNumberGenerator source = RandomNumberGenerator.Create())
            {
                source.GetBytes(bytes);
            }
            return bytes;
        }

        private static ZmtpException NotAuthentic()
        {
            return new ZmtpException("the server's keys are not those that this client was given", "check the server's public key");
        }
    }
}
