using System;
using System.Collections;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using NpcEngine.Io;

namespace NpcEngine
{
    /// <summary>What a client is doing, as far as Poll has told.</summary>
    public enum NpcClientState
    {
        /// <summary>Not connected.</summary>
        Disconnected,

        /// <summary>Connecting, or waiting for the server's welcome. Requests may be made already; they wait their turn.</summary>
        Connecting,

        /// <summary>Welcomed.</summary>
        Connected,
    }

    /// <summary>
    /// A connection to a server, for one thread: the one that calls <see cref="Poll"/> every frame. Every method returns at
    /// once; every event, and the end of every task, comes from Poll. One background thread does the input and output.
    /// </summary>
    public sealed class NpcClient : IDisposable
    {
        /// <summary>Where a server listens unless told otherwise.</summary>
        public const string DefaultAddress = "tcp://127.0.0.1:5570";

        /// <summary>The version of the protocol that this library speaks.</summary>
        public const int ProtocolVersion = 1;

        // How long Dispose may wait for the thread; it needs about one millisecond.
        private const int DisposeMs = 500;

        private readonly ServerAddress _address;
        private readonly CurveKeys _keys;
        private readonly double _timeoutSeconds;
        private readonly string _name;
        private readonly DeliveryQueue _deliveries = new DeliveryQueue();
        private readonly HashSet<IOpenWork> _open = new HashSet<IOpenWork>();
        private Connection _connection;
        private long _lastRequestId;
        private int _generation;
        private bool _isDisposed;

        /// <summary>Makes a client; nothing is started before <see cref="Connect"/>.</summary>
        /// <param name="address">The server's address, tcp://host:port.</param>
        /// <param name="keys">For a server with CURVE keys.</param>
        /// <param name="timeoutSeconds">How long one answer, or connecting, may take.</param>
        /// <param name="name">What the client is, for the server's log.</param>
        /// <exception cref="NpcEngineException">NPC001: the address is none.</exception>
        public NpcClient(
            string address = DefaultAddress, CurveKeys keys = null, double timeoutSeconds = 10, string name = "NpcEngine for C#")
        {
            _address = ServerAddress.Parse(address);
            _keys = keys;
            _timeoutSeconds = timeoutSeconds;
            _name = name;
        }

        /// <summary>
        /// The connection ended, or none could be made; every open request has failed before. Not raised by Close and Dispose.
        /// A good place to call Connect again.
        /// </summary>
        public event Action<NpcEngineException> ConnectionLost;

        /// <summary>An error that nobody listens for: of a request without a listener, or of a frame that could not be read.</summary>
        public event Action<NpcEngineException> Error;

        /// <summary>What the client is doing.</summary>
        public NpcClientState State { get; private set; }

        /// <summary>What the server said at hello; null while not connected.</summary>
        public Welcome Welcome { get; private set; }

        /// <summary>
        /// Connects and says hello; again after Close or ConnectionLost. Tries until a server answers or the client's timeout is
        /// over. Requests may follow at once.
        /// </summary>
        /// <returns>Fails with NPC311 where no server answers, NPC204 for another version, NPC313 where keys are refused.</returns>
        public NpcRequest<Welcome> Connect()
        {
            CheckNotDisposed();
            Close();
            _generation++;
            _connection = new Connection(
                _address, _keys, _timeoutSeconds, _deliveries, () => Interlocked.Increment(ref _lastRequestId));
            State = NpcClientState.Connecting;
            int generation = _generation;
            var request = new NpcRequest<Welcome>(this, reply => TakeWelcome(reply, generation));
            var hello = new Dictionary<string, object> { { "protocol_version", ProtocolVersion }, { "client", _name } };
            Send("hello", hello, request, new Handshake(_connection, request), generation);
            return request;
        }

        /// <summary>Delivers what has arrived: raises events and ends tasks, in this thread. Call it every frame; it never waits.</summary>
        /// <param name="maxDeliveries">At most so many; the rest comes with the next call.</param>
        /// <returns>How many there were.</returns>
        /// <remarks>An exception of a listener comes out of Poll; what was not delivered yet comes with the next call.</remarks>
        public int Poll(int maxDeliveries = 256)
        {
            int count = 0;
            Delivery delivery;
            bool madeRoom;
            while (count < maxDeliveries && !_isDisposed && _deliveries.TryDequeue(out delivery, out madeRoom))
            {
                count++;
                if (madeRoom)
                {
                    _connection?.Resume();
                }
                Hand(delivery);
            }
            return count;
        }

        /// <summary>Asks who can be talked to; sorted by id.</summary>
        public NpcRequest<IReadOnlyList<CharacterEntry>> ListCharacters()
        {
            return Ask<IReadOnlyList<CharacterEntry>>(
                "list_characters", new Dictionary<string, object>(), reply => ((reply as CharactersReply) ?? throw Unexpected(reply)).Characters);
        }

        /// <summary>Opens a conversation.</summary>
        /// <param name="characterId">One of <see cref="ListCharacters"/>.</param>
        /// <param name="playerId">The game's stable id of the player.</param>
        /// <param name="playerName">How the character may address the player; may be null.</param>
        /// <param name="state">The game's state now; may be null.</param>
        /// <param name="onAction">Runs the actions that the character asks for; answer each call now or some frames later.</param>
        /// <param name="actions">The sheet's actions that this game runs. Null: all of them with `onAction`, none without.</param>
        /// <param name="declareActions">
        /// Actions of the game's own; string keys: name, description, and what docs/protocol.md lists. May be null.
        /// </param>
        /// <returns>Fails with NPC301, NPC309, NPC310, NPC314, NPC315 or NPC306; nothing was opened then.</returns>
        public NpcRequest<NpcConversation> Open(
            string characterId,
            string playerId,
            string playerName = null,
            IDictionary state = null,
            Action<NpcActionCall> onAction = null,
            IEnumerable<string> actions = null,
            IEnumerable<IDictionary> declareActions = null)
        {
            int generation = _generation;
            var fields = new Dictionary<string, object>
            {
                { "character_id", characterId },
                { "player_id", playerId },
                { "player_name", playerName },
                { "state", state ?? new Dictionary<string, object>() },
                { "actions", actions ?? (onAction != null ? new[] { "*" } : new string[0]) },
            };
            // Left out where it is not used: an older server does not know it.
            if (declareActions != null)
            {
                fields["declare_actions"] = declareActions;
            }
            return Ask(
                "open_conversation",
                fields,
                reply => new NpcConversation(
                    this, generation, (reply as ConversationOpenedReply) ?? throw Unexpected(reply), onAction));
        }

        /// <summary>Tells the characters of all this client's conversations what the game knows now.</summary>
        /// <param name="text">One sentence.</param>
        /// <param name="gameTime">The game's clock, in the game's own unit.</param>
        public NpcRequest<bool> WorldEvent(string text, double? gameTime = null)
        {
            return Ask("world_event", new Dictionary<string, object> { { "text", text }, { "game_time", gameTime } }, ReadOk);
        }

        /// <summary>Asks how the engine and the server are.</summary>
        public NpcRequest<HealthReport> Health()
        {
            return Ask("health", new Dictionary<string, object>(), reply => (reply as HealthReport) ?? throw Unexpected(reply));
        }

        /// <summary>Asks for the metrics in the Prometheus text format.</summary>
        public NpcRequest<string> Metrics()
        {
            return Ask(
                "metrics", new Dictionary<string, object>(), reply => ((reply as MetricsReply) ?? throw Unexpected(reply)).Text);
        }

        /// <summary>As <see cref="Connect"/>, as a task.</summary>
        public Task<Welcome> ConnectAsync(CancellationToken cancellation = default(CancellationToken))
        {
            return Connect().AsTask(cancellation);
        }

        /// <summary>As <see cref="Open"/>, as a task.</summary>
        public Task<NpcConversation> OpenAsync(
            string characterId,
            string playerId,
            string playerName = null,
            IDictionary state = null,
            Action<NpcActionCall> onAction = null,
            IEnumerable<string> actions = null,
            CancellationToken cancellation = default(CancellationToken),
            IEnumerable<IDictionary> declareActions = null)
        {
            return Open(characterId, playerId, playerName, state, onAction, actions, declareActions).AsTask(cancellation);
        }

        /// <summary>
        /// Says bye and disconnects, without waiting; conversations end, and open requests fail with NPC313 at the next Poll.
        /// Does nothing when not connected.
        /// </summary>
        public void Close()
        {
            Leave();
        }

        /// <summary>
        /// Ends everything: thread and socket are gone on return, tasks have failed with NPC313, and no event is raised any more.
        /// Takes about a millisecond and never more than half a second. Safe at any moment, in a listener too, and twice.
        /// </summary>
        public void Dispose()
        {
            if (_isDisposed)
            {
                return;
            }
            _isDisposed = true;
            Leave()?.Join(DisposeMs);
            var open = new List<IOpenWork>(_open);
            NpcEngineException error = new NpcEngineException(ErrorCode.ConnectionLost, "the client was disposed");
            foreach (IOpenWork work in open)
            {
                work.Abandon(error);
            }
        }

        internal static NpcEngineException Unexpected(Reply reply)
        {
            return new NpcEngineException(
                ErrorCode.InvalidMessage, "the server answered a request with " + reply.GetType().Name, "update this client");
        }

        internal static bool ReadOk(Reply reply)
        {
            return ((reply as OkReply) ?? throw Unexpected(reply)).Cancelled ?? true;
        }

        /// <summary>Sends a request of a conversation; one of a connection that has ended fails at the next Poll.</summary>
        internal void Send(string kind, Dictionary<string, object> fields, IOpenWork work, IReplySink sink, int generation)
        {
            CheckNotDisposed();
            if (_connection == null || generation != _generation)
            {
                Post(new Delivery { Sink = sink, Error = Connection.NotConnected() });
            }
            else
            {
                _connection.Submit(kind, fields, sink);
            }
            _open.Add(work);
        }

        internal void Post(Delivery delivery)
        {
            _deliveries.Enqueue(delivery);
        }

        internal void FinishLater(IReplySink sink, Reply reply)
        {
            CheckNotDisposed();
            Post(new Delivery { Sink = sink, Reply = reply });
        }

        internal void Finished(IOpenWork work)
        {
            _open.Remove(work);
        }

        internal void Report(NpcEngineException error)
        {
            Error?.Invoke(error);
        }

        private NpcRequest<T> Ask<T>(string kind, Dictionary<string, object> fields, Func<Reply, T> read)
        {
            var request = new NpcRequest<T>(this, read);
            Send(kind, fields, request, request, _generation);
            return request;
        }

        private void Hand(Delivery delivery)
        {
            if (delivery.Ended != null)
            {
                if (delivery.Ended == _connection)
                {
                    Leave();
                    ConnectionLost?.Invoke(delivery.Error);
                }
            }
            else if (delivery.Sink == null)
            {
                Report(delivery.Error);
            }
            else if (delivery.Error != null)
            {
                delivery.Sink.Fail(delivery.Error);
            }
            else
            {
                delivery.Sink.Deliver(delivery.Reply);
            }
        }

        private Welcome TakeWelcome(Reply reply, int generation)
        {
            var welcome = (reply as Welcome) ?? throw Unexpected(reply);
            if (generation == _generation && _connection != null)
            {
                Welcome = welcome;
                State = NpcClientState.Connected;
            }
            return welcome;
        }

        private Connection Leave()
        {
            Connection connection = _connection;
            _connection = null;
            Welcome = null;
            State = NpcClientState.Disconnected;
            if (connection != null)
            {
                connection.Submit("bye", new Dictionary<string, object>(), null);
                connection.Close();
            }
            return connection;
        }

        private void CheckNotDisposed()
        {
            if (_isDisposed)
            {
                throw new ObjectDisposedException(nameof(NpcClient));
            }
        }

        // A server that refuses the hello is left: nothing else can be done on that connection.
        private sealed class Handshake : IReplySink
        {
            private readonly Connection _connection;
            private readonly IReplySink _request;

            public Handshake(Connection connection, IReplySink request)
            {
                _connection = connection;
                _request = request;
            }

            public bool IsTurn => false;

            public void Deliver(Reply reply)
            {
                _request.Deliver(reply);
            }

            public void Fail(NpcEngineException error)
            {
                _connection.Abort(error);
                _request.Fail(error);
            }
        }
    }
}
