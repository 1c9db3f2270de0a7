using System;
using System.Collections;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using NpcEngine.Wire;
using NpcEngine.Zmtp;

namespace NpcEngine.Io
{
    /// <summary>
    /// One connection and its thread, from construction to <see cref="Close"/> or the server's end. The thread alone touches
    /// the session and the table of open requests; requests come to it, and replies leave it, through lock-free queues.
    /// </summary>
    internal sealed class Connection
    {
        // Requests that may wait to be sent; a server that reads nothing for so long is gone.
        private const int MaxUnsent = 1000;
        // Bytes that are handed to the system ahead; more requests wait as they are.
        private const int MaxOutputBytes = 64 << 10;
        // Requests for health per client_timeout_s while the client is silent.
        private const int SignsOfLife = 3;
        private const int FirstRetryMs = 50;
        private const int LongestRetryMs = 1000;
        // How long what is queued may take to leave when the connection is closed.
        private const int LingerMs = 100;
        // How long a domain's unloading may wait for the thread.
        private const int UnloadMs = 1000;

        private readonly ServerAddress _address;
        private readonly CurveKeys _keys;
        private readonly DeliveryQueue _deliveries;
        private readonly int _timeoutMs;
        private readonly Stopwatch _clock = Stopwatch.StartNew();
        private readonly AutoResetEvent _signal = new AutoResetEvent(false);
        private readonly ConcurrentQueue<Submission> _submissions = new ConcurrentQueue<Submission>();
        private readonly Queue<byte[]> _unsent = new Queue<byte[]>();
        private readonly OpenRequests _open;
        private readonly Thread _thread;
        private readonly Func<long> _nextRequestId;
        private volatile CodecLimits _limits = new CodecLimits();
        private volatile bool _isClosing;
        private volatile NpcEngineException _abortedBy;
        private volatile bool _hasEnded;
        private TcpChannel _channel;
        private ZmtpSession _session;
        private bool _wasUp;
        private bool _wasFull;
        private int _numAttempts;
        private long _retryAtMs;
        private long _lastSentMs;
        private long _keepAliveMs = long.MaxValue;

        /// <param name="address">The server's.</param>
        /// <param name="keys">For a server with CURVE keys; null for one without.</param>
        /// <param name="timeoutSeconds">How long one answer, and connecting, may take.</param>
        /// <param name="deliveries">Where everything goes that the game is to hear of.</param>
        /// <param name="nextRequestId">Gives ids; called from any thread.</param>
        public Connection(
            ServerAddress address, CurveKeys keys, double timeoutSeconds, DeliveryQueue deliveries, Func<long> nextRequestId)
        {
            _address = address;
            _keys = keys;
            _deliveries = deliveries;
            _nextRequestId = nextRequestId;
            _timeoutMs = (int)(timeoutSeconds * 1000);
            _open = new OpenRequests(_clock, _timeoutMs);
            // A background thread, so that a game that forgets to close can still exit.
            _thread = new Thread(Run) { IsBackground = true, Name = "npc-engine client" };
            AppDomain.CurrentDomain.DomainUnload += OnDomainUnload;
            _thread.Start();
        }

        /// <summary>Sends a request; its replies, and the error that ends it, go to `sink` (null: to nobody). Never waits.</summary>
        /// <returns>The request's id.</returns>
        /// <exception cref="NpcEngineException">The fields cannot be a message, or exceed a limit; nothing was sent.</exception>
        public long Submit(string kind, IDictionary fields, IReplySink sink)
        {
            long id = _nextRequestId();
            fields["kind"] = kind;
            fields["request_id"] = id;
            byte[] frame = MessagePackWriter.WriteMessage(fields, _limits);
            _submissions.Enqueue(new Submission { Id = id, Kind = kind, Frame = frame, Sink = sink });
            if (_hasEnded)
            {
                FailSubmissions(NotConnected());
            }
            Wake();
            return id;
        }

        /// <summary>Room was made for deliveries; reading may go on.</summary>
        public void Resume()
        {
            Wake();
        }

        /// <summary>Ends the connection as lost, by this error, unless it has ended. Returns at once.</summary>
        public void Abort(NpcEngineException error)
        {
            _abortedBy = error;
            Wake();
        }

        /// <summary>Asks the thread to send what is queued and to end; open requests fail with NPC313. Returns at once.</summary>
        public void Close()
        {
            _isClosing = true;
            Wake();
        }

        /// <summary>Waits for the thread to end after Close; false, and the socket closed all the same, if it takes longer.</summary>
        public bool Join(int milliseconds)
        {
            if (Thread.CurrentThread == _thread || _thread.Join(milliseconds))
            {
                return true;
            }
            _channel?.Close();
            return false;
        }

        private void Run()
        {
            NpcEngineException end = null;
            try
            {
                while (end == null)
                {
                    end = Step();
                    if (end == null && !_isClosing)
                    {
                        _signal.WaitOne(WaitMs());
                    }
                    if (end == null && _isClosing)
                    {
                        SendLast();
                        end = Closed();
                    }
                }
            }
            catch (Exception error) when (!(error is ThreadAbortException))
            {
                // The edge of a thread: the game hears of a bug of this library, and does not die of it.
                end = new NpcEngineException(ErrorCode.ConnectionLost, "a bug in this client: " + error, "report it");
            }
            finally
            {
                End(end ?? Closed());
            }
        }

        // One round of everything that can be done without waiting; the error that ended the connection, or null.
        private NpcEngineException Step()
        {
            try
            {
                if (_abortedBy != null)
                {
                    return _abortedBy;
                }
                TakeSubmissions();
                if (_channel == null && !Reconnect())
                {
                    return CheckTimes();
                }
                bool isFull = CheckRoom();
                if (!isFull && _channel.TakeReceived(_session))
                {
                    DeliverInbox();
                }
                SendQueued();
                if (!isFull)
                {
                    _channel.Receive();
                }
                return CheckChannel() ?? (isFull ? null : CheckTimes());
            }
            catch (ZmtpException error)
            {
                return new NpcEngineException(ErrorCode.ConnectionLost, error.Message + " (" + _address.Text + ")", error.Hint);
            }
        }

        private bool Reconnect()
        {
            if (_clock.ElapsedMilliseconds < _retryAtMs)
            {
                return false;
            }
            _session = new ZmtpSession(_keys == null ? new NullMechanism() : (IMechanism)new CurveMechanism(_keys));
            _channel = new TcpChannel(_address, _numAttempts++, Wake);
            _channel.Connect();
            return true;
        }

        // Whether the game has so much to poll that nothing more is read. What it waits for may have come meanwhile and lie
        // unread in the socket, so that afterwards every wait begins anew.
        private bool CheckRoom()
        {
            bool isFull = _deliveries.IsFull;
            if (_wasFull && !isFull)
            {
                _open.Renew();
            }
            _wasFull = isFull;
            return isFull;
        }

        // A server that is not there yet is tried again until the hello's time is over; one that was there is lost.
        private NpcEngineException CheckChannel()
        {
            string failure = _channel?.Failure;
            if (failure == null)
            {
                return null;
            }
            if (_wasUp)
            {
                return new NpcEngineException(
                    ErrorCode.ConnectionLost,
                    "the connection to " + _address.Text + " ended: " + failure,
                    "see whether the server still runs (its log says why it stopped), then connect again");
            }
            _channel.Close();
            _channel = null;
            _retryAtMs = _clock.ElapsedMilliseconds + Math.Min(FirstRetryMs << Math.Min(_numAttempts - 1, 5), LongestRetryMs);
            return null;
        }

        private void TakeSubmissions()
        {
            Submission submission;
            while (_submissions.TryDequeue(out submission))
            {
                _unsent.Enqueue(submission.Frame);
                if (submission.Sink != null)
                {
                    _open.Add(submission.Id, submission.Kind, submission.Sink);
                }
            }
        }

        private void SendQueued()
        {
            _wasUp = _wasUp || _session.IsReady;
            if (_clock.ElapsedMilliseconds - _lastSentMs >= _keepAliveMs)
            {
                var health = new Dictionary<string, object> { { "kind", "health" }, { "request_id", _nextRequestId() } };
                _unsent.Enqueue(MessagePackWriter.WriteMessage(health, _limits));
                _lastSentMs = _clock.ElapsedMilliseconds;
            }
            while (_session.IsReady && _unsent.Count > 0 && _session.Output.Count < MaxOutputBytes)
            {
                _session.Send(_unsent.Dequeue());
                _lastSentMs = _clock.ElapsedMilliseconds;
            }
            _channel.Send(_session.Output);
        }

        private void DeliverInbox()
        {
            while (_session.Inbox.Count > 0)
            {
                Received received = _session.Inbox.Dequeue();
                if (received.Fault != null)
                {
                    _deliveries.Enqueue(new Delivery { Error = received.Fault });
                }
                else
                {
                    Deliver(received.Message);
                }
            }
        }

        private void Deliver(byte[] frame)
        {
            long? id = null;
            Reply reply = null;
            NpcEngineException error = null;
            try
            {
                Dictionary<string, object> fields = MessagePackReader.ReadMessage(frame, _limits);
                id = ReplyParser.RequestIdOf(fields);
                reply = ReplyParser.Parse(fields);
                error = (reply as ErrorReply)?.Error;
            }
            catch (NpcEngineException bad)
            {
                error = bad;
            }
            string kind;
            IReplySink sink;
            if (_open.TryTake(id, error == null ? reply : null, out kind, out sink))
            {
                if (reply is Welcome && kind == "hello")
                {
                    Configure((Welcome)reply);
                }
                _deliveries.Enqueue(new Delivery { Sink = sink, Reply = error == null ? reply : null, Error = error });
            }
            else if (error != null)
            {
                _deliveries.Enqueue(new Delivery { Error = error });
            }
        }

        private void Configure(Welcome welcome)
        {
            _limits = new CodecLimits(welcome.MaxFrameBytes, welcome.MaxMessageDepth);
            _session.MaxFrameBytes = _limits.MaxFrameBytes;
            _keepAliveMs = Math.Max(1, (long)(Math.Min(welcome.ClientTimeoutSeconds, 86400) * 1000) / SignsOfLife);
            _open.Configure(welcome);
        }

        private NpcEngineException CheckTimes()
        {
            if (_unsent.Count > MaxUnsent)
            {
                return new NpcEngineException(
                    ErrorCode.ConnectionLost,
                    "the server at " + _address.Text + " reads nothing; " + MaxUnsent + " requests are waiting",
                    "see whether it is overloaded or stopped in a debugger");
            }
            NpcEngineException lost = null;
            _open.ForgetLate((kind, sink) =>
            {
                _deliveries.Enqueue(new Delivery { Sink = sink, Error = TimedOut(kind) });
                if (kind == "hello")
                {
                    lost = new NpcEngineException(
                        ErrorCode.ConnectionLost,
                        "no server answered at " + _address.Text,
                        "start `npc-engine serve`, then connect again");
                }
            });
            return lost;
        }

        private int WaitMs()
        {
            long now = _clock.ElapsedMilliseconds;
            long until = long.MaxValue;
            if (_channel == null)
            {
                until = Math.Min(until, _retryAtMs);
            }
            if (_keepAliveMs != long.MaxValue)
            {
                until = Math.Min(until, _lastSentMs + _keepAliveMs);
            }
            if (!_wasFull)
            {
                until = Math.Min(until, _open.NextDeadlineMs);
            }
            return until == long.MaxValue ? Timeout.Infinite : (int)Math.Max(0, Math.Min(until - now, int.MaxValue));
        }

        private void SendLast()
        {
            long until = _clock.ElapsedMilliseconds + LingerMs;
            TakeSubmissions();
            while (_wasUp && _channel.Failure == null)
            {
                SendQueued();
                long left = until - _clock.ElapsedMilliseconds;
                if ((_unsent.Count == 0 && _channel.HasSentAll(_session.Output)) || left <= 0)
                {
                    return;
                }
                _signal.WaitOne((int)left);
            }
        }

        private void End(NpcEngineException error)
        {
            _channel?.Close();
            WaitForCompletions();
            _hasEnded = true;
            _open.ForgetAll(sink => _deliveries.Enqueue(new Delivery { Sink = sink, Error = error }));
            FailSubmissions(error);
            if (!_isClosing)
            {
                _deliveries.Enqueue(new Delivery { Ended = this, Error = error });
            }
            AppDomain.CurrentDomain.DomainUnload -= OnDomainUnload;
            _signal.Dispose();
        }

        // The runtime still calls back for what Close has ended. In a domain that is unloaded meanwhile, such a call can
        // bring Mono down; so the thread, and with it Dispose, ends after the last.
        private void WaitForCompletions()
        {
            long until = _clock.ElapsedMilliseconds + LingerMs;
            while (_channel != null && !_channel.IsIdle && _clock.ElapsedMilliseconds < until)
            {
                _signal.WaitOne((int)Math.Max(1, until - _clock.ElapsedMilliseconds));
            }
        }

        private void FailSubmissions(NpcEngineException error)
        {
            Submission submission;
            while (_submissions.TryDequeue(out submission))
            {
                if (submission.Sink != null)
                {
                    _deliveries.Enqueue(new Delivery { Sink = submission.Sink, Error = error });
                }
            }
        }

        private void Wake()
        {
            try
            {
                _signal.Set();
            }
            catch (ObjectDisposedException)
            {
                // The thread has ended; there is nothing to wake.
            }
        }

        // A domain reload without Dispose: nothing of the old domain may stay, and nothing may wait.
        private void OnDomainUnload(object sender, EventArgs e)
        {
            _isClosing = true;
            _channel?.Close();
            Wake();
            _thread.Join(UnloadMs);
        }

        private NpcEngineException TimedOut(string kind)
        {
            return new NpcEngineException(
                ErrorCode.RequestTimeout,
                "no answer to " + kind + " from " + _address.Text + " within "
                    + (_timeoutMs / 1000.0).ToString(System.Globalization.CultureInfo.InvariantCulture) + " s",
                "see whether `npc-engine serve` runs there and has the keys this client expects");
        }

        private static NpcEngineException Closed()
        {
            return new NpcEngineException(ErrorCode.ConnectionLost, "the connection was closed", "call Connect");
        }

        internal static NpcEngineException NotConnected()
        {
            return new NpcEngineException(ErrorCode.ConnectionLost, "this client is not connected", "call Connect");
        }

        private struct Submission
        {
            public long Id;
            public string Kind;
            public byte[] Frame;
            public IReplySink Sink;
        }
    }
}
