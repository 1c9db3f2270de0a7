using System.Collections;
using System.Collections.Generic;

namespace NpcEngine
{
    /// <summary>
    /// The character asks the game to run an action. Answer once, now or some frames later but before the server's
    /// <see cref="Welcome.ActionTimeoutSeconds"/>; the turn waits for it.
    /// </summary>
    public sealed class NpcActionCall
    {
        private readonly NpcConversation _conversation;

        internal NpcActionCall(NpcConversation conversation, ActionCallReply call)
        {
            _conversation = conversation;
            CallId = call.CallId;
            Name = call.Name;
            Arguments = call.Arguments;
            IdempotencyKey = call.IdempotencyKey;
            Cost = call.Cost;
        }

        /// <summary>Names this call.</summary>
        public string CallId { get; }

        /// <summary>The action's name, as the sheet declares it.</summary>
        public string Name { get; }

        /// <summary>By parameter name; values are null, bool, long, double, string, lists and maps.</summary>
        public IReadOnlyDictionary<string, object> Arguments { get; }

        /// <summary>Run calls of one key once; the same where a call is repeated.</summary>
        public string IdempotencyKey { get; }

        /// <summary>What the action declares that a call costs, in the game's own unit; null where it declares nothing.</summary>
        public double? Cost { get; }

        /// <summary>Whether Answer or Refuse was called.</summary>
        public bool IsAnswered { get; private set; }

        /// <summary>Says what happened.</summary>
        /// <param name="result">String keys; the character may use all of it.</param>
        /// <returns>Fails with NPC308 where nobody waits any more.</returns>
        public NpcRequest<bool> Answer(IDictionary result)
        {
            return Send("result", result);
        }

        /// <summary>Says why it did not happen, in words the character may use.</summary>
        /// <returns>Fails with NPC308 where nobody waits any more.</returns>
        public NpcRequest<bool> Refuse(string reason)
        {
            return Send("error", reason);
        }

        private NpcRequest<bool> Send(string field, object value)
        {
            NpcRequest<bool> request = _conversation.Request(
                "action_result", new Dictionary<string, object> { { "call_id", CallId }, { field, value } });
            IsAnswered = true;
            return request;
        }
    }
}
