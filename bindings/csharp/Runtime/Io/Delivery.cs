using System.Collections.Concurrent;
using System.Threading;

namespace NpcEngine.Io
{
    /// <summary>Takes the replies to one request. Called in Poll only, so in the game's thread.</summary>
    internal interface IReplySink
    {
        /// <summary>Whether replies may follow one another until a turn_end (a say).</summary>
        bool IsTurn { get; }

        void Deliver(Reply reply);

        /// <summary>The request failed; nothing more comes.</summary>
        void Fail(NpcEngineException error);
    }

    /// <summary>One thing for the game's thread to hear of.</summary>
    internal struct Delivery
    {
        /// <summary>Who takes it; null for the client itself.</summary>
        public IReplySink Sink;

        public Reply Reply;

        public NpcEngineException Error;

        /// <summary>Set where this connection has ended by itself; Error says why.</summary>
        public Connection Ended;
    }

    /// <summary>
    /// What waits for Poll. Lock-free on both sides: the game's thread never waits for the connection's, even where that was
    /// preempted in the middle of something.
    /// </summary>
    internal sealed class DeliveryQueue
    {
        /// <summary>With so many waiting, no more is read from the socket: a game that does not poll costs bounded memory.</summary>
        private const int MaxWaiting = 4096;

        private readonly ConcurrentQueue<Delivery> _queue = new ConcurrentQueue<Delivery>();
        private int _count;

        public bool IsFull => Volatile.Read(ref _count) >= MaxWaiting;

        public void Enqueue(Delivery delivery)
        {
            Interlocked.Increment(ref _count);
            _queue.Enqueue(delivery);
        }

        /// <summary>Takes the next; `madeRoom` where the queue was full before.</summary>
        public bool TryDequeue(out Delivery delivery, out bool madeRoom)
        {
            madeRoom = false;
            if (!_queue.TryDequeue(out delivery))
            {
                return false;
            }
            madeRoom = Interlocked.Decrement(ref _count) == MaxWaiting - 1;
            return true;
        }
    }
}
