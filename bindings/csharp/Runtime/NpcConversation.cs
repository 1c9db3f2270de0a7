using System;
using System.Collections;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace NpcEngine
{
    /// <summary>One player and one character. <see cref="NpcClient.Open"/> makes it. One turn at a time.</summary>
    public sealed class NpcConversation
    {
        private readonly NpcClient _client;
        private readonly int _generation;
        private bool _isClosed;

        internal NpcConversation(NpcClient client, int generation, ConversationOpenedReply opened, Action<NpcActionCall> onAction)
        {
            _client = client;
            _generation = generation;
            Id = opened.ConversationId;
            Greeting = opened.Greeting;
            ActionRequested = onAction;
        }

        /// <summary>Each action that the character asks for; raised in Poll. Answer the call now or some frames later.</summary>
        public event Action<NpcActionCall> ActionRequested;

        /// <summary>The conversation's name on the wire.</summary>
        public string Id { get; }

        /// <summary>The character's authored first line; may be empty.</summary>
        public string Greeting { get; }

        /// <summary>The player speaks. Returns at once; the turn's events come from Poll.</summary>
        /// <exception cref="NpcEngineException">NPC201 or NPC206: the text cannot be sent. Every other failure comes by Failed.</exception>
        public NpcTurn Say(string text)
        {
            var turn = new NpcTurn(_client, this);
            _client.Send("say", WithId(new Dictionary<string, object> { { "text", text } }), turn, turn, _generation);
            return turn;
        }

        /// <summary>The player speaks; the task ends with the turn, in Poll.</summary>
        /// <param name="text">The player's line.</param>
        /// <param name="onToken">Each piece of speech; in Poll's thread.</param>
        /// <param name="cancellation">Cancels the turn.</param>
        public Task<TurnEnd> SayAsync(
            string text, Action<string> onToken = null, CancellationToken cancellation = default(CancellationToken))
        {
            NpcTurn turn = Say(text);
            turn.TokenReceived += onToken;
            return turn.AsTask(cancellation);
        }

        /// <summary>Stops the running turn, which still ends, with <see cref="FinishReason.Cancelled"/>.</summary>
        /// <returns>Whether a turn was running.</returns>
        public NpcRequest<bool> Cancel()
        {
            return Request("cancel", new Dictionary<string, object>());
        }

        /// <summary>Tells this character what the game knows now.</summary>
        /// <param name="text">One sentence.</param>
        /// <param name="gameTime">The game's clock, in the game's own unit.</param>
        public NpcRequest<bool> WorldEvent(string text, double? gameTime = null)
        {
            return Request("world_event", new Dictionary<string, object> { { "text", text }, { "game_time", gameTime } });
        }

        /// <summary>Changes the game's state as this character sees it.</summary>
        /// <param name="changes">String keys: the names that change, with their new values.</param>
        /// <returns>Fails with NPC309 where a name or type is wrong; nothing has changed then.</returns>
        public NpcRequest<bool> SetState(IDictionary changes)
        {
            return Request("set_state", new Dictionary<string, object> { { "changes", changes } });
        }

        /// <summary>
        /// Closes the conversation; a running turn is cancelled, and its end comes first. Done at once the second time. Fails
        /// with NPC313 where the connection has ended, and the conversation with it.
        /// </summary>
        public NpcRequest<bool> Close()
        {
            var request = new NpcRequest<bool>(_client, ReadClosed) { IsQuiet = true };
            if (_isClosed)
            {
                _client.FinishLater(request, new ConversationClosedReply { ConversationId = Id });
                return request;
            }
            _isClosed = true;
            _client.Send("close_conversation", WithId(new Dictionary<string, object>()), request, request, _generation);
            return request;
        }

        /// <summary>As <see cref="Close"/>, as a task.</summary>
        public Task CloseAsync(CancellationToken cancellation = default(CancellationToken))
        {
            return Close().AsTask(cancellation);
        }

        internal bool RaiseAction(NpcActionCall call)
        {
            if (ActionRequested == null)
            {
                return false;
            }
            ActionRequested(call);
            return true;
        }

        internal NpcRequest<bool> Request(string kind, Dictionary<string, object> fields)
        {
            var request = new NpcRequest<bool>(_client, NpcClient.ReadOk);
            _client.Send(kind, WithId(fields), request, request, _generation);
            return request;
        }

        private Dictionary<string, object> WithId(Dictionary<string, object> fields)
        {
            fields["conversation_id"] = Id;
            return fields;
        }

        private static bool ReadClosed(Reply reply)
        {
            return reply is ConversationClosedReply ? true : throw NpcClient.Unexpected(reply);
        }
    }
}
