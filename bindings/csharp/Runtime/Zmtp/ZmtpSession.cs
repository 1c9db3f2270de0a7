using System;
using System.Collections.Generic;
using System.Text;

namespace NpcEngine.Zmtp
{
    /// <summary>What a session received: a message, or a fault that left the connection usable.</summary>
    internal struct Received
    {
        public byte[] Message;
        public NpcEngineException Fault;
    }

    /// <summary>
    /// The client's side of one ZMTP 3.1 connection, without I/O: bytes from the peer go into <see cref="Receive"/>, bytes for
    /// the peer come out of <see cref="Output"/>, messages out of <see cref="Inbox"/>.
    /// </summary>
    internal sealed class ZmtpSession
    {
        private const int GreetingLength = 64;
        private const byte FlagMore = 1;
        private const byte FlagLong = 2;
        private const byte FlagCommand = 4;
        // A frame up to this many times the limit is skipped and told; a larger one costs the connection, as at the server.
        private const int HardFrameFactor = 16;
        private const int MaxCommandBytes = 64 << 10;

        private readonly IMechanism _mechanism;
        private readonly ByteQueue _input = new ByteQueue();
        private bool _hasGreeting;
        private long _bytesToSkip;
        private bool _isInMultipart;

        public ZmtpSession(IMechanism mechanism)
        {
            _mechanism = mechanism;
            WriteGreeting();
        }

        /// <summary>Largest message to accept, bytes; may change at any time.</summary>
        public int MaxFrameBytes { get; set; } = 1 << 20;

        public ByteQueue Output { get; } = new ByteQueue();

        public Queue<Received> Inbox { get; } = new Queue<Received>();

        /// <summary>Whether the handshake is over and messages may be sent.</summary>
        public bool IsReady => _mechanism.IsReady;

        /// <summary>Queues one message for the peer. Only once IsReady.</summary>
        public void Send(byte[] message)
        {
            WriteFrame(_mechanism.Encode(message, false));
        }

        /// <summary>Takes bytes of the peer, in pieces of any size.</summary>
        /// <exception cref="ZmtpException">The peer refused or is no ZMTP 3 server; the session is over.</exception>
        public void Receive(byte[] source, int offset, int count)
        {
            _input.Append(source, offset, count);
            if (!_hasGreeting && !ReadGreeting())
            {
                return;
            }
            while (ReadFrame())
            {
            }
        }

        private void WriteGreeting()
        {
            var greeting = new byte[GreetingLength];
            greeting[0] = 0xff;
            greeting[8] = 1;
            greeting[9] = 0x7f;
            greeting[10] = 3;
            greeting[11] = 1;
            Encoding.ASCII.GetBytes(_mechanism.Name, 0, _mechanism.Name.Length, greeting, 12);
            Output.Append(greeting, 0, greeting.Length);
        }

        private bool ReadGreeting()
        {
            // What is no ZMTP 3 is refused by its first bytes, for another kind of server may wait for more from us.
            bool isForeign = (_input.Count > 0 && _input[0] != 0xff) || (_input.Count > 9 && (_input[9] & 1) == 0)
                || (_input.Count > 10 && _input[10] < 3);
            if (isForeign)
            {
                throw new ZmtpException("what listens there is no ZeroMQ server of ZMTP 3", "check the address and the port");
            }
            if (_input.Count < GreetingLength)
            {
                return false;
            }
            byte[] greeting = _input.Take(GreetingLength);
            string mechanism = Encoding.ASCII.GetString(greeting, 12, 20).TrimEnd('\0');
            if (mechanism != _mechanism.Name)
            {
                throw new ZmtpException(
                    "the server's security is " + mechanism + ", this client's " + _mechanism.Name,
                    "give both CURVE keys, or neither");
            }
            _hasGreeting = true;
            WriteFrame(new WireFrame { Body = _mechanism.Begin(), IsCommand = true });
            return true;
        }

        private bool ReadFrame()
        {
            if (_bytesToSkip > 0)
            {
                int skipped = (int)Math.Min(_bytesToSkip, _input.Count);
                _input.Skip(skipped);
                _bytesToSkip -= skipped;
                return _bytesToSkip == 0 && _input.Count > 0;
            }
            if (_input.Count < 2)
            {
                return false;
            }
            byte flags = _input[0];
            bool isLong = (flags & FlagLong) != 0;
            bool isCommand = (flags & FlagCommand) != 0;
            bool hasMore = (flags & FlagMore) != 0;
            if ((flags & ~(FlagMore | FlagLong | FlagCommand)) != 0 || (isCommand && hasMore))
            {
                throw new ZmtpException("the peer sent a frame with flags 0x" + flags.ToString("x2"));
            }
            int headerLength = isLong ? 9 : 2;
            if (_input.Count < headerLength)
            {
                return false;
            }
            long length = isLong ? ReadLongLength() : _input[1];
            if (IsBeyondLimit(length, isCommand))
            {
                _input.Skip(headerLength);
                _bytesToSkip = length;
                SkipMessage(length, hasMore);
                return true;
            }
            if (_input.Count - headerLength < length)
            {
                return false;
            }
            _input.Skip(headerLength);
            TakeFrame(_input.Take((int)length), isCommand, hasMore);
            return true;
        }

        private long ReadLongLength()
        {
            ulong length = 0;
            for (int i = 1; i <= 8; i++)
            {
                length = (length << 8) | _input[i];
            }
            return length > long.MaxValue ? long.MaxValue : (long)length;
        }

        // True for a frame to skip; nothing of it was, or will be, kept in memory.
        private bool IsBeyondLimit(long length, bool isCommand)
        {
            if (isCommand || !IsReady)
            {
                if (length > MaxCommandBytes)
                {
                    throw new ZmtpException("the peer sent a command of " + length + " bytes");
                }
                return false;
            }
            if (length > (long)MaxFrameBytes * HardFrameFactor)
            {
                throw new ZmtpException("the peer sent a frame of " + length + " bytes");
            }
            return length > MaxFrameBytes + _mechanism.Overhead;
        }

        private void SkipMessage(long length, bool hasMore)
        {
            bool isFirst = !_isInMultipart;
            _isInMultipart = hasMore;
            if (isFirst)
            {
                Inbox.Enqueue(new Received { Fault = Wire.MessagePackWriter.FrameTooLarge(length, MaxFrameBytes) });
            }
        }

        private void TakeFrame(byte[] body, bool isCommand, bool hasMore)
        {
            if (!IsReady)
            {
                if (!isCommand)
                {
                    throw new ZmtpException("the peer broke the ZMTP handshake");
                }
                byte[] answer = _mechanism.TakeHandshake(body);
                if (answer != null)
                {
                    WriteFrame(new WireFrame { Body = answer, IsCommand = true });
                }
                return;
            }
            PlainFrame frame = _mechanism.Decode(body, isCommand, hasMore);
            if (frame.IsCommand)
            {
                TakeCommand(frame.Payload);
            }
            else
            {
                TakeMessageFrame(frame);
            }
        }

        private void TakeMessageFrame(PlainFrame frame)
        {
            bool isFirst = !_isInMultipart;
            _isInMultipart = frame.HasMore;
            if (isFirst && !frame.HasMore)
            {
                Inbox.Enqueue(new Received { Message = frame.Payload });
            }
            else if (isFirst)
            {
                Inbox.Enqueue(new Received
                {
                    Fault = new NpcEngineException(ErrorCode.MalformedMessage, "the server sent a message of several frames"),
                });
            }
        }

        private void TakeCommand(byte[] command)
        {
            // PING carries a time to live of two bytes and a context to send back; other commands concern no DEALER.
            if (Commands.NameOf(command) == "PING" && command.Length >= 7 && command.Length <= 7 + 16)
            {
                var context = new byte[command.Length - 7];
                Buffer.BlockCopy(command, 7, context, 0, context.Length);
                WriteFrame(_mechanism.Encode(Commands.Make("PONG", context), true));
            }
        }

        private void WriteFrame(WireFrame frame)
        {
            byte kind = frame.IsCommand ? FlagCommand : (byte)0;
            int length = frame.Body.Length;
            if (length <= byte.MaxValue)
            {
                Output.Append(kind);
                Output.Append((byte)length);
            }
            else
            {
                Output.Append((byte)(kind | FlagLong));
                for (int shift = 56; shift >= 0; shift -= 8)
                {
                    Output.Append((byte)((ulong)length >> shift));
                }
            }
            Output.Append(frame.Body, 0, length);
        }
    }
}
