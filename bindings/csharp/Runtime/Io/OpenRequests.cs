using System;
using System.Collections.Generic;
using System.Diagnostics;

namespace NpcEngine.Io
{
    /// <summary>Who waits for which reply, and until when. For the connection's thread alone.</summary>
    internal sealed class OpenRequests
    {
        // Until the server has named its own; a turn ends by then.
        private const int UnknownTurnDeadlineMs = 60000;
        private const double LongestTurnSeconds = 86400;

        private readonly Dictionary<long, Open> _open = new Dictionary<long, Open>();
        private readonly Stopwatch _clock;
        private readonly int _timeoutMs;
        private long _turnTimeoutMs;

        /// <param name="clock">The connection's.</param>
        /// <param name="timeoutMs">How long one answer may take.</param>
        public OpenRequests(Stopwatch clock, int timeoutMs)
        {
            _clock = clock;
            _timeoutMs = timeoutMs;
            _turnTimeoutMs = UnknownTurnDeadlineMs + timeoutMs;
        }

        /// <summary>When the next wait is over, by the clock, ms; long.MaxValue where nobody waits.</summary>
        public long NextDeadlineMs
        {
            get
            {
                long next = long.MaxValue;
                foreach (Open open in _open.Values)
                {
                    next = Math.Min(next, open.DeadlineMs + 1);
                }
                return next;
            }
        }

        public void Add(long id, string kind, IReplySink sink)
        {
            _open[id] = new Open { Kind = kind, Sink = sink, DeadlineMs = DeadlineMs(sink) };
        }

        /// <summary>Finds who waits for a reply, and forgets it where this reply is the last; false where nobody waits.</summary>
        /// <param name="id">The request that the reply names.</param>
        /// <param name="reply">The reply; null for an error, which is always the last.</param>
        /// <param name="kind">The request's kind.</param>
        /// <param name="sink">Who takes it.</param>
        public bool TryTake(long? id, Reply reply, out string kind, out IReplySink sink)
        {
            Open open;
            kind = null;
            sink = null;
            if (id == null || !_open.TryGetValue(id.Value, out open))
            {
                return false;
            }
            kind = open.Kind;
            sink = open.Sink;
            open.DeadlineMs = DeadlineMs(open.Sink);
            if (!sink.IsTurn || !(reply is TokenReply || reply is Sentence || reply is ActionCallReply))
            {
                _open.Remove(id.Value);
            }
            return true;
        }

        /// <summary>Takes over how long a turn may be silent at this server.</summary>
        public void Configure(Welcome welcome)
        {
            _turnTimeoutMs = (long)(Math.Min(welcome.TurnDeadlineSeconds, LongestTurnSeconds) * 1000) + _timeoutMs;
        }

        /// <summary>Begins every wait anew.</summary>
        public void Renew()
        {
            foreach (Open open in _open.Values)
            {
                open.DeadlineMs = DeadlineMs(open.Sink);
            }
        }

        /// <summary>Forgets all whose time is over.</summary>
        /// <param name="tell">Gets each one's kind and sink.</param>
        public void ForgetLate(Action<string, IReplySink> tell)
        {
            List<long> late = null;
            foreach (KeyValuePair<long, Open> entry in _open)
            {
                if (_clock.ElapsedMilliseconds > entry.Value.DeadlineMs)
                {
                    (late = late ?? new List<long>()).Add(entry.Key);
                }
            }
            for (int i = 0; late != null && i < late.Count; i++)
            {
                Open open = _open[late[i]];
                _open.Remove(late[i]);
                tell(open.Kind, open.Sink);
            }
        }

        /// <summary>Forgets all.</summary>
        /// <param name="tell">Gets each one's sink.</param>
        public void ForgetAll(Action<IReplySink> tell)
        {
            foreach (Open open in _open.Values)
            {
                tell(open.Sink);
            }
            _open.Clear();
        }

        private long DeadlineMs(IReplySink sink)
        {
            return _clock.ElapsedMilliseconds + (sink.IsTurn ? _turnTimeoutMs : _timeoutMs);
        }

        private sealed class Open
        {
            public string Kind;
            public IReplySink Sink;
            public long DeadlineMs;
        }
    }
}
