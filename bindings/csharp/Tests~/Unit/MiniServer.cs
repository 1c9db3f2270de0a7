using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using NpcEngine.Wire;

namespace NpcEngine.Tests
{
    /// <summary>
    /// A ZMTP server of one thread a client, written from RFC 23/37 without the library's session, so that each checks the other.
    /// It answers hello, health, open_conversation, cancel and close_conversation; `Script` answers everything else.
    /// </summary>
    internal sealed class MiniServer : IDisposable
    {
        private readonly TcpListener _listener;
        private readonly List<Peer> _peers = new List<Peer>();

        public MiniServer(int port = 0)
        {
            _listener = new TcpListener(IPAddress.Loopback, port);
            _listener.Start();
            Accept();
        }

        public string Address => "tcp://127.0.0.1:" + ((IPEndPoint)_listener.LocalEndpoint).Port;

        /// <summary>Called in the peer's thread for each message that the server does not answer itself.</summary>
        public Action<Peer, Dictionary<string, object>> Script { get; set; } = (peer, message) => { };

        public double ClientTimeoutSeconds { get; set; } = 600;

        /// <summary>Peers that are connected.</summary>
        public int NumPeers
        {
            get
            {
                lock (_peers)
                {
                    return _peers.Count;
                }
            }
        }

        public Peer LastPeer { get; private set; }

        public void Dispose()
        {
            _listener.Stop();
            lock (_peers)
            {
                foreach (Peer peer in _peers)
                {
                    peer.Close();
                }
            }
        }

        /// <summary>A server at an address that an earlier one had.</summary>
        public static MiniServer At(string address)
        {
            return new MiniServer(int.Parse(address.Substring(address.LastIndexOf(':') + 1)));
        }

        public static Dictionary<string, object> Map(params object[] pairs)
        {
            var map = new Dictionary<string, object>();
            for (int i = 0; i < pairs.Length; i += 2)
            {
                map.Add((string)pairs[i], pairs[i + 1]);
            }
            return map;
        }

        private static void Start(string name, ThreadStart run)
        {
            new Thread(run) { IsBackground = true, Name = name }.Start();
        }

        // Asynchronous, for not every runtime ends an Accept that waits when its listener is stopped.
        private void Accept()
        {
            try
            {
                _listener.BeginAcceptTcpClient(OnAccepted, null);
            }
            catch (ObjectDisposedException)
            {
                // Stopped.
            }
        }

        private void OnAccepted(IAsyncResult result)
        {
            Peer peer;
            try
            {
                peer = new Peer(_listener.EndAcceptTcpClient(result));
            }
            catch (Exception error) when (error is ObjectDisposedException || error is SocketException)
            {
                return;
            }
            lock (_peers)
            {
                _peers.Add(peer);
            }
            LastPeer = peer;
            Start("mini server peer", () => Serve(peer));
            Accept();
        }

        private void Serve(Peer peer)
        {
            try
            {
                peer.Shake();
                while (true)
                {
                    Dictionary<string, object> message = peer.Read();
                    if (!Answer(peer, message))
                    {
                        Script(peer, message);
                    }
                }
            }
            catch (IOException)
            {
                // The client has gone.
            }
            catch (ObjectDisposedException)
            {
                // The server was stopped.
            }
            peer.Close();
            lock (_peers)
            {
                _peers.Remove(peer);
            }
        }

        private bool Answer(Peer peer, Dictionary<string, object> message)
        {
            object id = message["request_id"];
            switch ((string)message["kind"])
            {
                case "hello":
                    var limits = Map(
                        "max_frame_bytes", 65536, "max_message_depth", 16, "max_text_chars", 500, "max_conversations", 8,
                        "client_timeout_s", ClientTimeoutSeconds, "turn_deadline_s", 60.0, "action_timeout_s", 1.0);
                    peer.Send(Map("kind", "welcome", "request_id", id, "protocol_version", 1, "engine_version", "mini", "limits", limits));
                    return true;
                case "health":
                    peer.NumHealths++;
                    peer.Send(Map("kind", "health_report", "request_id", id, "engine", Map(), "server", Map()));
                    return true;
                case "open_conversation":
                    peer.Send(Map("kind", "conversation_opened", "request_id", id, "conversation_id", "c1", "greeting", "Hail."));
                    return true;
                case "bye":
                    peer.HasSaidBye = true;
                    return true;
                default:
                    return false;
            }
        }

        /// <summary>One connected client, as the server sees it.</summary>
        internal sealed class Peer
        {
            private readonly TcpClient _tcp;
            private readonly Stream _stream;
            private readonly object _writing = new object();

            public Peer(TcpClient tcp)
            {
                _tcp = tcp;
                _stream = tcp.GetStream();
            }

            public volatile int NumHealths;
            public volatile bool HasSaidBye;
            public volatile byte[] Pong;

            public void Close()
            {
                try
                {
                    _tcp.Client?.Shutdown(SocketShutdown.Both);
                }
                catch (Exception error) when (error is SocketException || error is ObjectDisposedException)
                {
                    // It has ended already.
                }
                _tcp.Close();
            }

            public void Shake()
            {
                var greeting = new byte[64];
                greeting[0] = 0xff;
                greeting[9] = 0x7f;
                greeting[10] = 3;
                System.Text.Encoding.ASCII.GetBytes("NULL", 0, 4, greeting, 12);
                WriteRaw(greeting);
                ReadExactly(64);
                byte flags;
                byte[] ready = ReadFrame(out flags);
                Check.Equal("\u0005READY", System.Text.Encoding.ASCII.GetString(ready, 0, 6));
                Check.That(System.Text.Encoding.ASCII.GetString(ready).Contains("DEALER"), "no DEALER");
                WriteFrame(4, Ready("ROUTER"));
            }

            public static byte[] Ready(string socketType)
            {
                var bytes = new List<byte>(System.Text.Encoding.ASCII.GetBytes("\u0005READY\u000bSocket-Type\0\0\0"));
                bytes.Add((byte)socketType.Length);
                bytes.AddRange(System.Text.Encoding.ASCII.GetBytes(socketType));
                return bytes.ToArray();
            }

            public Dictionary<string, object> Read()
            {
                while (true)
                {
                    byte flags;
                    byte[] body = ReadFrame(out flags);
                    if ((flags & 4) == 0)
                    {
                        return MessagePackReader.ReadMessage(body, new CodecLimits());
                    }
                    Pong = body;
                }
            }

            public void Send(Dictionary<string, object> message)
            {
                WriteFrame(0, MessagePackWriter.WriteMessage(message, new CodecLimits()));
            }

            public void Say(Dictionary<string, object> request, string text)
            {
                Send(Map("kind", "token", "request_id", request["request_id"], "conversation_id", "c1", "text", text));
            }

            public void End(Dictionary<string, object> request, string text, string reason = "stop")
            {
                Send(Map(
                    "kind", "turn_end", "request_id", request["request_id"], "conversation_id", "c1", "text", text,
                    "finish_reason", reason, "source", "model", "trace", Map()));
            }

            public void WriteFrame(byte flags, byte[] body)
            {
                bool isLong = body.Length > 255;
                var head = new List<byte> { (byte)(flags | (isLong ? 2 : 0)) };
                for (int shift = isLong ? 56 : 0; shift >= 0; shift -= 8)
                {
                    head.Add((byte)((ulong)body.Length >> shift));
                }
                head.AddRange(body);
                WriteRaw(head.ToArray());
            }

            public void WriteRaw(byte[] bytes)
            {
                lock (_writing)
                {
                    _stream.Write(bytes, 0, bytes.Length);
                }
            }

            private byte[] ReadFrame(out byte flags)
            {
                flags = ReadExactly(1)[0];
                long length = 0;
                foreach (byte part in ReadExactly((flags & 2) != 0 ? 8 : 1))
                {
                    length = (length << 8) | part;
                }
                return ReadExactly((int)length);
            }

            private byte[] ReadExactly(int count)
            {
                var bytes = new byte[count];
                for (int done = 0; done < count;)
                {
                    int read = _stream.Read(bytes, done, count - done);
                    if (read == 0)
                    {
                        throw new EndOfStreamException();
                    }
                    done += read;
                }
                return bytes;
            }
        }
    }
}
