namespace NpcEngine.Zmtp
{
    /// <summary>No encryption, no authentication: for a server on this machine.</summary>
    internal sealed class NullMechanism : IMechanism
    {
        private const int ReadyLength = 6;

        public string Name => "NULL";

        public int Overhead => 0;

        public bool IsReady { get; private set; }

        public byte[] Begin()
        {
            return Commands.Make("READY", Commands.ClientMetadata());
        }

        public byte[] TakeHandshake(byte[] command)
        {
            switch (Commands.NameOf(command))
            {
                case "READY":
                    Commands.CheckServerMetadata(command, ReadyLength);
                    IsReady = true;
                    return null;
                case "ERROR":
                    throw Commands.Refusal(command);
                default:
                    throw new ZmtpException("the peer broke the ZMTP handshake");
            }
        }

        public WireFrame Encode(byte[] payload, bool isCommand)
        {
            return new WireFrame { Body = payload, IsCommand = isCommand };
        }

        public PlainFrame Decode(byte[] body, bool isCommand, bool hasMore)
        {
            return new PlainFrame { Payload = body, IsCommand = isCommand, HasMore = hasMore };
        }
    }
}
