using System;
using System.Threading;
using System.Threading.Tasks;
using NpcEngine.Io;

namespace NpcEngine
{
    /// <summary>
    /// A request that has one answer. Subscribe to its events, or take its task; both are served by
    /// <see cref="NpcClient.Poll"/>, in its thread, so nothing is missed by subscribing right after the call.
    /// </summary>
    /// <typeparam name="T">What the answer is.</typeparam>
    public sealed class NpcRequest<T> : IReplySink, IOpenWork
    {
        private readonly NpcClient _client;
        private readonly Func<Reply, T> _read;
        private TaskCompletionSource<T> _task;
        private CancellationTokenRegistration _registration;

        /// <param name="client">Whose request it is.</param>
        /// <param name="read">The answer's meaning; raises NpcEngineException for a reply that is no answer.</param>
        internal NpcRequest(NpcClient client, Func<Reply, T> read)
        {
            _client = client;
            _read = read;
        }

        /// <summary>The answer came.</summary>
        public event Action<T> Done;

        /// <summary>The request failed. Without a listener and a task the error goes to <see cref="NpcClient.Error"/>.</summary>
        public event Action<NpcEngineException> Failed;

        /// <summary>Whether Done or Failed has come.</summary>
        public bool IsFinished { get; private set; }

        /// <summary>The answer, once it has come.</summary>
        public T Result { get; private set; }

        bool IReplySink.IsTurn => false;

        /// <summary>Whether a failure that nobody listens for is of no interest.</summary>
        internal bool IsQuiet { get; set; }

        /// <summary>
        /// A task for the answer. It ends in Poll (or in Dispose, with NPC313); cancelling the token ends the wait at the next
        /// Poll, not what the request does at the server.
        /// </summary>
        public Task<T> AsTask(CancellationToken cancellation = default(CancellationToken))
        {
            if (_task == null)
            {
                _task = new TaskCompletionSource<T>();
                if (cancellation.CanBeCanceled)
                {
                    _registration = cancellation.Register(() => _client.Post(new Delivery { Sink = new Cancellation(this) }));
                }
            }
            return _task.Task;
        }

        void IReplySink.Deliver(Reply reply)
        {
            if (IsFinished)
            {
                return;
            }
            T result;
            try
            {
                result = _read(reply);
            }
            catch (NpcEngineException error)
            {
                ((IReplySink)this).Fail(error);
                return;
            }
            Finish();
            Result = result;
            _task?.TrySetResult(result);
            Done?.Invoke(result);
        }

        void IReplySink.Fail(NpcEngineException error)
        {
            if (IsFinished)
            {
                return;
            }
            Finish();
            if (_task == null && Failed == null && !IsQuiet)
            {
                _client.Report(error);
            }
            _task?.TrySetException(error);
            Failed?.Invoke(error);
        }

        void IOpenWork.Abandon(NpcEngineException error)
        {
            Finish();
            _task?.TrySetException(error);
        }

        private void Finish()
        {
            IsFinished = true;
            _registration.Dispose();
            _client.Finished(this);
        }

        private void Cancel()
        {
            if (!IsFinished)
            {
                Finish();
                _task.TrySetCanceled();
            }
        }

        // Tokens are cancelled in any thread; the wait ends in Poll like everything else.
        private sealed class Cancellation : IReplySink
        {
            private readonly NpcRequest<T> _request;

            public Cancellation(NpcRequest<T> request)
            {
                _request = request;
            }

            public bool IsTurn => false;

            public void Deliver(Reply reply)
            {
                _request.Cancel();
            }

            public void Fail(NpcEngineException error)
            {
                _request.Cancel();
            }
        }
    }

    /// <summary>What is open when a client is disposed.</summary>
    internal interface IOpenWork
    {
        /// <summary>Ends the task, if one was taken; calls nobody.</summary>
        void Abandon(NpcEngineException error);
    }
}
