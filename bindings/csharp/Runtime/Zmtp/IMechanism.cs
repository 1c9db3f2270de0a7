using System;
using System.Text;

namespace NpcEngine.Zmtp
{
    /// <summary>A security mechanism of ZMTP: the handshake behind the greeting, and what becomes of every frame after it.</summary>
    internal interface IMechanism
    {
        /// <summary>The name in the greeting, NULL or CURVE.</summary>
        string Name { get; }

        /// <summary>Bytes that the mechanism may add to a message.</summary>
        int Overhead { get; }

        /// <summary>Whether the handshake is over.</summary>
        bool IsReady { get; }

        /// <summary>The first command of the client.</summary>
        byte[] Begin();

        /// <summary>Takes the server's next handshake command; returns the client's answer, or null for none.</summary>
        /// <exception cref="ZmtpException">The server refused, or broke the protocol.</exception>
        byte[] TakeHandshake(byte[] command);

        /// <summary>What is sent for a message or a command after the handshake.</summary>
        WireFrame Encode(byte[] payload, bool isCommand);

        /// <summary>What a received frame means; the inverse of Encode.</summary>
        /// <exception cref="ZmtpException">The frame is not authentic, or breaks the protocol.</exception>
        PlainFrame Decode(byte[] body, bool isCommand, bool hasMore);
    }

    /// <summary>A frame to send.</summary>
    internal struct WireFrame
    {
        public byte[] Body;
        public bool IsCommand;
    }

    /// <summary>A frame that was received.</summary>
    internal struct PlainFrame
    {
        public byte[] Payload;
        public bool IsCommand;
        public bool HasMore;
    }

    /// <summary>The peer cannot be talked to; the connection is over.</summary>
    internal sealed class ZmtpException : Exception
    {
        public ZmtpException(string message, string hint = "") : base(message)
        {
            Hint = hint;
        }

        public string Hint { get; }
    }

    /// <summary>Commands and metadata, as both mechanisms spell them.</summary>
    internal static class Commands
    {
        /// <summary>The name of a command, or "" where the bytes are none.</summary>
        public static string NameOf(byte[] body)
        {
            return body.Length > 0 && body[0] > 0 && body[0] < body.Length ? Encoding.ASCII.GetString(body, 1, body[0]) : "";
        }

        public static byte[] Make(string name, params byte[][] parts)
        {
            var bytes = new ByteQueue();
            bytes.Append((byte)name.Length);
            foreach (char letter in name)
            {
                bytes.Append((byte)letter);
            }
            foreach (byte[] part in parts)
            {
                bytes.Append(part, 0, part.Length);
            }
            return bytes.Take(bytes.Count);
        }

        /// <summary>What a DEALER says of itself.</summary>
        public static byte[] ClientMetadata()
        {
            var bytes = new ByteQueue();
            AppendProperty(bytes, "Socket-Type", "DEALER");
            AppendProperty(bytes, "Identity", "");
            return bytes.Take(bytes.Count);
        }

        /// <summary>Checks that the peer is a socket that a DEALER may talk to.</summary>
        public static void CheckServerMetadata(byte[] body, int at)
        {
            while (at < body.Length)
            {
                string name = Encoding.ASCII.GetString(body, at + 1, Fitting(body, at + 1, body[at]));
                at += 1 + body[at];
                Fitting(body, at, 4);
                long length = ((long)body[at] << 24) | ((long)body[at + 1] << 16) | ((long)body[at + 2] << 8) | body[at + 3];
                string value = Encoding.ASCII.GetString(body, at + 4, Fitting(body, at + 4, length));
                at += 4 + value.Length;
                bool isSocketType = string.Equals(name, "Socket-Type", StringComparison.OrdinalIgnoreCase);
                if (isSocketType && value != "ROUTER" && value != "DEALER" && value != "REP")
                {
                    throw new ZmtpException("a " + value + " socket listens there, not the engine's ROUTER", "check the port");
                }
            }
        }

        public static ZmtpException Refusal(byte[] body)
        {
            string reason = body.Length > 7 ? Encoding.ASCII.GetString(body, 7, body.Length - 7) : "";
            return new ZmtpException(
                "the server refused the connection" + (reason.Length == 0 ? "" : " (" + reason + ")"),
                "its keys and this client's do not match");
        }

        private static int Fitting(byte[] body, int at, long length)
        {
            if (length > body.Length - at)
            {
                throw new ZmtpException("the peer's metadata is cut short");
            }
            return (int)length;
        }

        private static void AppendProperty(ByteQueue bytes, string name, string value)
        {
            bytes.Append((byte)name.Length);
            foreach (char letter in name)
            {
                bytes.Append((byte)letter);
            }
            bytes.Append(new byte[] { 0, 0, 0, (byte)value.Length }, 0, 4);
            foreach (char letter in value)
            {
                bytes.Append((byte)letter);
            }
        }
    }
}
