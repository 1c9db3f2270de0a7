using System;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NpcEngine.Io;

namespace NpcEngine
{
    /// <summary>
    /// One turn as it arrives. Its events are raised by <see cref="NpcClient.Poll"/>, in its thread, so nothing is missed by
    /// subscribing right after Say. The last event is Ended or Failed, and comes once.
    /// </summary>
    public sealed class NpcTurn : IReplySink, IOpenWork
    {
        private readonly NpcClient _client;
        private readonly StringBuilder _heard = new StringBuilder();
        private TaskCompletionSource<TurnEnd> _task;
        private CancellationTokenRegistration _registration;
        private bool _isCancelledByToken;

        internal NpcTurn(NpcClient client, NpcConversation conversation)
        {
            _client = client;
            Conversation = conversation;
        }

        /// <summary>A piece of speech: append it to what is shown.</summary>
        public event Action<string> TokenReceived;

        /// <summary>A whole sentence, after the tokens that spell it. Show one or the other.</summary>
        public event Action<Sentence> SentenceReceived;

        /// <summary>The character asks for an action; see also the conversation's event of that name.</summary>
        public event Action<NpcActionCall> ActionRequested;

        /// <summary>The turn is over and committed.</summary>
        public event Action<TurnEnd> Ended;

        /// <summary>The turn failed. Without a listener and a task the error goes to <see cref="NpcClient.Error"/>.</summary>
        public event Action<NpcEngineException> Failed;

        /// <summary>Whose turn it is.</summary>
        public NpcConversation Conversation { get; }

        /// <summary>The reply: whole once the turn has ended, as far as it was heard before.</summary>
        public string Text => End != null ? End.Text : _heard.ToString();

        /// <summary>The end, once it has come.</summary>
        public TurnEnd End { get; private set; }

        /// <summary>Whether Ended or Failed has come.</summary>
        public bool IsOver { get; private set; }

        bool IReplySink.IsTurn => true;

        /// <summary>Stops the turn; it still ends, with <see cref="FinishReason.Cancelled"/>.</summary>
        /// <returns>Whether a turn was running.</returns>
        public NpcRequest<bool> Cancel()
        {
            return Conversation.Cancel();
        }

        /// <summary>
        /// A task for the turn's end. It ends in Poll (or in Dispose, with NPC313). Cancelling the token cancels the turn, and
        /// the task counts as cancelled once the server has ended it, so that the conversation is then free for another line.
        /// </summary>
        public Task<TurnEnd> AsTask(CancellationToken cancellation = default(CancellationToken))
        {
            if (_task == null)
            {
                _task = new TaskCompletionSource<TurnEnd>();
                if (cancellation.CanBeCanceled)
                {
                    _registration = cancellation.Register(() => _client.Post(new Delivery { Sink = new Cancellation(this) }));
                }
            }
            return _task.Task;
        }

        void IReplySink.Deliver(Reply reply)
        {
            if (IsOver)
            {
                return;
            }
            if (reply is TokenReply token)
            {
                _heard.Append(token.Text);
                TokenReceived?.Invoke(token.Text);
            }
            else if (reply is Sentence sentence)
            {
                SentenceReceived?.Invoke(sentence);
            }
            else if (reply is ActionCallReply call)
            {
                RunAction(new NpcActionCall(Conversation, call));
            }
            else if (reply is TurnEnd end)
            {
                Finish();
                End = end;
                EndTask(end);
                Ended?.Invoke(end);
            }
            else
            {
                ((IReplySink)this).Fail(NpcClient.Unexpected(reply));
            }
        }

        void IReplySink.Fail(NpcEngineException error)
        {
            if (IsOver)
            {
                return;
            }
            Finish();
            if (_task == null && Failed == null)
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

        private void RunAction(NpcActionCall call)
        {
            bool isHandled = Conversation.RaiseAction(call);
            if (ActionRequested != null)
            {
                isHandled = true;
                ActionRequested(call);
            }
            if (!isHandled)
            {
                // The turn would wait out its time for nobody.
                call.Refuse("nothing in the game can do that");
            }
        }

        private void EndTask(TurnEnd end)
        {
            if (_isCancelledByToken && end.FinishReason == FinishReason.Cancelled)
            {
                _task?.TrySetCanceled();
            }
            else
            {
                _task?.TrySetResult(end);
            }
        }

        private void Finish()
        {
            IsOver = true;
            _registration.Dispose();
            _client.Finished(this);
        }

        private void CancelByToken()
        {
            if (!IsOver)
            {
                _isCancelledByToken = true;
                Cancel();
            }
        }

        // Tokens are cancelled in any thread; the request is sent from Poll like everything else.
        private sealed class Cancellation : IReplySink
        {
            private readonly NpcTurn _turn;

            public Cancellation(NpcTurn turn)
            {
                _turn = turn;
            }

            public bool IsTurn => false;

            public void Deliver(Reply reply)
            {
                _turn.CancelByToken();
            }

            public void Fail(NpcEngineException error)
            {
                _turn.CancelByToken();
            }
        }
    }
}
