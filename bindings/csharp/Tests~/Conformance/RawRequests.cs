using System.Collections.Generic;
using System.Threading;
using NpcEngine.Io;

namespace NpcEngine.Tests
{
    /// <summary>Requests by the layer below the API.</summary>
    internal sealed class RawRequests
    {
        private readonly DeliveryQueue _deliveries = new DeliveryQueue();
        private readonly Connection _connection;
        private long _lastId;

        public RawRequests(string address)
        {
            _connection = new Connection(ServerAddress.Parse(address), null, 5, _deliveries, () => ++_lastId);
        }

        public Delivery Hello(int version)
        {
            _connection.Submit("hello", new Dictionary<string, object> { { "protocol_version", version } }, new Nobody());
            Delivery delivery;
            bool madeRoom;
            for (int i = 0; i < 5000; i++)
            {
                if (_deliveries.TryDequeue(out delivery, out madeRoom))
                {
                    return delivery;
                }
                Thread.Sleep(1);
            }
            throw new CheckFailed("no answer to hello");
        }

        public void Close()
        {
            _connection.Close();
            Check.That(_connection.Join(1000), "the connection's thread does not end");
        }

        private sealed class Nobody : IReplySink
        {
            public bool IsTurn => false;

            public void Deliver(Reply reply)
            {
            }

            public void Fail(NpcEngineException error)
            {
            }
        }
    }
}
