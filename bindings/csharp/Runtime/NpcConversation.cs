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
        /// <param name="text">The player's line.</param>
        /// <param name="controls">Controls of this turn alone, as <see cref="SetControls"/> takes them; may be null.</param>
        /// <param name="seed">What the turn draws by: the same seed after the same talk draws alike.</param>
        /// <exception cref="NpcEngineException">NPC201 or NPC206: the text cannot be sent. Every other failure comes by Failed.</exception>
        public NpcTurn Say(string text, IDictionary controls = null, uint? seed = null)
        {
            var turn = new NpcTurn(_client, this);
            var fields = new Dictionary<string, object> { { "text", text } };
            if (controls != null)
            {
                fields["controls"] = controls;
            }
            if (seed != null)
            {
                fields["seed"] = (long)seed.Value;
            }
            _client.Send("say", WithId(fields), turn, turn, _generation);
            return turn;
        }

        /// <summary>The player speaks; the task ends with the turn, in Poll.</summary>
        /// <param name="text">The player's line.</param>
        /// <param name="onToken">Each piece of speech; in Poll's thread.</param>
        /// <param name="cancellation">Cancels the turn.</param>
        /// <param name="controls">As <see cref="Say"/> takes them.</param>
        /// <param name="seed">As <see cref="Say"/> takes it.</param>
        public Task<TurnEnd> SayAsync(
            string text,
            Action<string> onToken = null,
            CancellationToken cancellation = default(CancellationToken),
            IDictionary controls = null,
            uint? seed = null)
        {
            NpcTurn turn = Say(text, controls, seed);
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

        /// <summary>Changes how the character talks here, from the next turn on; also while a turn runs.</summary>
        /// <param name="controls">String keys: the controls that change, such as max_words; null gives one back.</param>
        /// <returns>What is in force now. Fails with NPC316 where one is unknown or out of range; nothing has changed then.</returns>
        public NpcRequest<ControlsSet> SetControls(IDictionary controls)
        {
            var request = new NpcRequest<ControlsSet>(
                _client, reply => (reply as ControlsSet) ?? throw NpcClient.Unexpected(reply));
            var fields = new Dictionary<string, object> { { "controls", controls } };
            _client.Send("set_controls", WithId(fields), request, request, _generation);
            return request;
        }

        /// <summary>Takes back the last turns.</summary>
        /// <param name="turns">How many.</param>
        /// <returns>
        /// How many are left that can be taken back. Fails with NPC304 while a turn runs and with NPC317 where there are fewer;
        /// nothing has changed then.
        /// </returns>
        public NpcRequest<long> Undo(int turns = 1)
        {
            var request = new NpcRequest<long>(
                _client, reply => ((reply as UndoneReply) ?? throw NpcClient.Unexpected(reply)).Remaining);
            var fields = new Dictionary<string, object> { { "turns", turns } };
            _client.Send("undo", WithId(fields), request, request, _generation);
            return request;
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
