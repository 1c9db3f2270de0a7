using System;
using System.Collections.Generic;
using System.Text;
using NpcEngine.Zmtp;

namespace NpcEngine.Tests
{
    /// <summary>The ZMTP session without sockets: handshake, fragmentation, limits, noise.</summary>
    internal static class ZmtpTests
    {
        public static void AddTo(Dictionary<string, Action> tests)
        {
            tests.Add("zmtp: greeting and READY are what RFC 37 says", Handshake);
            tests.Add("zmtp: messages arrive whole, byte by byte and in pieces of any size", Fragmentation);
            tests.Add("zmtp: PING is answered with its context", Ping);
            tests.Add("zmtp: a frame beyond the limit is skipped, one far beyond ends the connection", Oversized);
            tests.Add("zmtp: a message of several frames is a fault, the next one is taken", Multipart);
            tests.Add("zmtp: foreign servers are refused by their first bytes", Foreign);
            tests.Add("zmtp: random bytes after the handshake give messages, faults or an end", Noise);
        }

        private static byte[] Greeting(string mechanism = "NULL", byte major = 3)
        {
            var greeting = new byte[64];
            greeting[0] = 0xff;
            greeting[8] = 1;
            greeting[9] = 0x7f;
            greeting[10] = major;
            Encoding.ASCII.GetBytes(mechanism, 0, mechanism.Length, greeting, 12);
            return greeting;
        }

        private static byte[] Frame(byte flags, byte[] body)
        {
            var frame = new List<byte> { flags };
            for (int shift = (flags & 2) != 0 ? 56 : 0; shift >= 0; shift -= 8)
            {
                frame.Add((byte)((ulong)body.Length >> shift));
            }
            frame.AddRange(body);
            return frame.ToArray();
        }

        private static byte[] Join(params byte[][] parts)
        {
            var all = new List<byte>();
            foreach (byte[] part in parts)
            {
                all.AddRange(part);
            }
            return all.ToArray();
        }

        private static byte[] Body(int length)
        {
            var body = new byte[length];
            new Random(length).NextBytes(body);
            return body;
        }

        private static byte[] Opening(string socketType = "ROUTER")
        {
            return Join(Greeting(), Frame(4, MiniServer.Peer.Ready(socketType)));
        }

        private static ZmtpSession Ready()
        {
            var session = new ZmtpSession(new NullMechanism());
            Feed(session, Opening());
            Check.That(session.IsReady, "not ready after READY");
            session.Output.Skip(session.Output.Count);
            return session;
        }

        private static void Feed(ZmtpSession session, byte[] bytes)
        {
            session.Receive(bytes, 0, bytes.Length);
        }

        private static void Ends(byte[] bytes)
        {
            try
            {
                Feed(new ZmtpSession(new NullMechanism()), bytes);
            }
            catch (ZmtpException)
            {
                return;
            }
            throw new CheckFailed("a foreign server was taken: " + BitConverter.ToString(bytes));
        }

        private static void Handshake()
        {
            var session = new ZmtpSession(new NullMechanism());
            byte[] greeting = session.Output.Take(64);
            Check.Equal(0, session.Output.Count, "bytes before the server's greeting");
            Check.Equal("FF-00-00-00-00-00-00-00-01-7F-03-01-4E-55-4C-4C-00", BitConverter.ToString(greeting, 0, 17));
            Feed(session, Greeting());
            byte[] ready = session.Output.Take(session.Output.Count);
            byte[] expected = Encoding.ASCII.GetBytes(
                "\u0004\u0029\u0005READY\u000bSocket-Type\0\0\0\u0006DEALER\u0008Identity\0\0\0\0");
            Check.Equal(BitConverter.ToString(expected), BitConverter.ToString(ready));
            Check.That(!session.IsReady, "ready before READY");
            Feed(session, Frame(4, MiniServer.Peer.Ready("ROUTER")));
            Check.That(session.IsReady, "not ready");
            session.Send(Body(300));
            Check.Equal("02-00-00-00-00-00-00-01-2C", BitConverter.ToString(session.Output.Take(309), 0, 9));
            session.Send(Body(255));
            Check.Equal("00-FF", BitConverter.ToString(session.Output.Take(257), 0, 2));
        }

        private static void Fragmentation()
        {
            int[] lengths = { 0, 1, 255, 256, 70000, 3 };
            byte[] all = Opening();
            foreach (int length in lengths)
            {
                all = Join(all, Frame(length > 255 ? (byte)2 : (byte)0, Body(length)));
            }
            var random = new Random(7);
            for (int run = 0; run < 30; run++)
            {
                var session = new ZmtpSession(new NullMechanism());
                for (int at = 0; at < all.Length;)
                {
                    int piece = run == 0 ? all.Length : run == 1 ? 1 : random.Next(1, run < 10 ? 20 : 20000);
                    piece = Math.Min(piece, all.Length - at);
                    session.Receive(all, at, piece);
                    at += piece;
                }
                foreach (int length in lengths)
                {
                    Check.Equal(BitConverter.ToString(Body(length)), BitConverter.ToString(session.Inbox.Dequeue().Message));
                }
                Check.Equal(0, session.Inbox.Count);
            }
        }

        private static void Ping()
        {
            ZmtpSession session = Ready();
            Feed(session, Frame(4, Encoding.ASCII.GetBytes("\u0004PING\0\u000ahello")));
            byte[] expected = Join(new byte[] { 4, 10 }, Encoding.ASCII.GetBytes("\u0004PONGhello"));
            Check.Equal(BitConverter.ToString(expected), BitConverter.ToString(session.Output.Take(session.Output.Count)));
            Check.Equal(0, session.Inbox.Count);
        }

        private static void Oversized()
        {
            ZmtpSession session = Ready();
            session.MaxFrameBytes = 1000;
            Feed(session, Join(Frame(2, Body(1001)), Frame(2, Body(1000))));
            Check.Equal("NPC206", session.Inbox.Dequeue().Fault.Code);
            Check.Equal(1000, session.Inbox.Dequeue().Message.Length);
            try
            {
                Feed(session, new byte[] { 2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff });
            }
            catch (ZmtpException)
            {
                return;
            }
            throw new CheckFailed("a frame of 2^63 - 1 bytes was waited for");
        }

        private static void Multipart()
        {
            ZmtpSession session = Ready();
            Feed(session, Join(Frame(1, Body(5)), Frame(1, Body(6)), Frame(0, Body(7)), Frame(0, Body(8))));
            Check.Equal("NPC201", session.Inbox.Dequeue().Fault.Code);
            Check.Equal(8, session.Inbox.Dequeue().Message.Length);
            Check.Equal(0, session.Inbox.Count);
        }

        private static void Foreign()
        {
            Ends(Encoding.ASCII.GetBytes("HTTP/1.1 400 Bad Request\r\n"));
            Ends(new byte[] { 1, 0 });
            Ends(Greeting(major: 1));
            Ends(Greeting("CURVE"));
            Ends(Greeting("PLAIN"));
            Ends(Opening("PUB"));
            Ends(Join(Greeting(), Frame(0, Body(4))));
            Ends(Join(Greeting(), Frame(4, Encoding.ASCII.GetBytes("\u0005ERROR\u0003no!"))));
            Ends(Join(Greeting(), Frame(4, Encoding.ASCII.GetBytes("\u0005READY\u00ffSocket-Type"))));
            Ends(Join(Greeting(), Frame(4, Encoding.ASCII.GetBytes("\u0005READY\u000bSocket-Type\u00ff\0\0\u0006ROUTER"))));
        }

        private static void Noise()
        {
            var random = new Random(11);
            for (int run = 0; run < 5000; run++)
            {
                var noise = new byte[random.Next(1, 200)];
                random.NextBytes(noise);
                noise[0] &= (byte)(run % 2 == 0 ? 7 : 255);
                ZmtpSession session = Ready();
                session.MaxFrameBytes = 100;
                try
                {
                    Feed(session, noise);
                }
                catch (ZmtpException)
                {
                    // An end is an answer; any other exception fails the test.
                }
            }
        }
    }
}
