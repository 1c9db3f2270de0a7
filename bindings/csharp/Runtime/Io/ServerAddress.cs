using System;
using System.Globalization;

namespace NpcEngine.Io
{
    /// <summary>Host and port of a `tcp://host:port` address.</summary>
    internal sealed class ServerAddress
    {
        private const string Scheme = "tcp://";

        private ServerAddress(string text, string host, int port)
        {
            Text = text;
            Host = host;
            Port = port;
        }

        public string Text { get; }

        public string Host { get; }

        public int Port { get; }

        /// <summary>Reads an address.</summary>
        /// <exception cref="NpcEngineException">NPC001: it is none.</exception>
        public static ServerAddress Parse(string text)
        {
            int port;
            int colon = text == null ? -1 : text.LastIndexOf(':');
            bool isAddress = colon > Scheme.Length && text.StartsWith(Scheme, StringComparison.Ordinal);
            if (!isAddress
                || !int.TryParse(text.Substring(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)
                || port < 1 || port > 65535)
            {
                throw new NpcEngineException(
                    ErrorCode.Config, "\"" + text + "\" is no server address", "for example tcp://127.0.0.1:5570");
            }
            string host = text.Substring(Scheme.Length, colon - Scheme.Length).Trim('[', ']');
            return new ServerAddress(text, host, port);
        }
    }
}
