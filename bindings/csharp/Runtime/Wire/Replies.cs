using System.Collections.Generic;

namespace NpcEngine
{
    /// <summary>A message of the server.</summary>
    public abstract class Reply
    {
        /// <summary>The request this answers; null only for an error that names none.</summary>
        public long? RequestId { get; internal set; }
    }

    /// <summary>Answers hello: versions and limits of the server.</summary>
    public sealed class Welcome : Reply
    {
        /// <summary>The version spoken on this connection.</summary>
        public long ProtocolVersion { get; internal set; }

        /// <summary>Version of the engine, for logs.</summary>
        public string EngineVersion { get; internal set; }

        /// <summary>Largest message, bytes.</summary>
        public long MaxFrameBytes { get; internal set; }

        /// <summary>Deepest nesting of maps and arrays.</summary>
        public long MaxMessageDepth { get; internal set; }

        /// <summary>Longest player line or world event, in Unicode characters.</summary>
        public long MaxTextChars { get; internal set; }

        /// <summary>Open conversations that one client may hold.</summary>
        public long MaxConversations { get; internal set; }

        /// <summary>A client silent this long is dropped, seconds. This library sends a sign of life in time.</summary>
        public double ClientTimeoutSeconds { get; internal set; }

        /// <summary>A turn ends by then, seconds.</summary>
        public double TurnDeadlineSeconds { get; internal set; }

        /// <summary>How long the answer to an action call may take, seconds.</summary>
        public double ActionTimeoutSeconds { get; internal set; }
    }

    /// <summary>Who can be talked to.</summary>
    public sealed class CharacterEntry
    {
        /// <summary>What <see cref="NpcClient.Open"/> takes.</summary>
        public string Id { get; internal set; }

        /// <summary>For display.</summary>
        public string Name { get; internal set; }

        /// <summary>For display.</summary>
        public string Role { get; internal set; }
    }

    internal sealed class CharactersReply : Reply
    {
        public List<CharacterEntry> Characters;
    }

    internal sealed class ConversationOpenedReply : Reply
    {
        public string ConversationId;
        public string Greeting;
    }

    internal sealed class ConversationClosedReply : Reply
    {
        public string ConversationId;
    }

    internal sealed class TokenReply : Reply
    {
        public string Text;
    }

    /// <summary>One whole sentence of the reply.</summary>
    public sealed class Sentence : Reply
    {
        /// <summary>0 for a reply's first sentence.</summary>
        public long Index { get; internal set; }

        /// <summary>The sentence.</summary>
        public string Text { get; internal set; }
    }

    internal sealed class ActionCallReply : Reply
    {
        public string ConversationId;
        public string CallId;
        public string Name;
        public Dictionary<string, object> Arguments;
        public string IdempotencyKey;
        public double? Cost;
    }

    /// <summary>Why a turn ended.</summary>
    public enum FinishReason
    {
        /// <summary>The reply was complete.</summary>
        Stop,

        /// <summary>The length budget was spent.</summary>
        Length,

        /// <summary>The game cancelled it.</summary>
        Cancelled,

        /// <summary>The judge ended it.</summary>
        Guard,
    }

    /// <summary>The last message of a turn: it is committed.</summary>
    public sealed class TurnEnd : Reply
    {
        /// <summary>The whole reply as the player heard it.</summary>
        public string Text { get; internal set; }

        /// <summary>Why it ended.</summary>
        public FinishReason FinishReason { get; internal set; }

        /// <summary>Who wrote it: "model", "fallback" or "none".</summary>
        public string Source { get; internal set; }

        /// <summary>For tools and logs; its keys are not part of the contract.</summary>
        public IReadOnlyDictionary<string, object> Trace { get; internal set; }
    }

    internal sealed class OkReply : Reply
    {
        public bool? Cancelled;
    }

    /// <summary>What <see cref="NpcConversation.SetControls"/> answers.</summary>
    public sealed class ControlsSet : Reply
    {
        /// <summary>What the conversation sets now; null where it leaves a control to the sheet.</summary>
        public IReadOnlyDictionary<string, object> Controls { get; internal set; }

        /// <summary>By route of a turn, such as "task": a map with the value of every control from the next turn on.</summary>
        public IReadOnlyDictionary<string, object> InForce { get; internal set; }
    }

    internal sealed class UndoneReply : Reply
    {
        public long Remaining;
    }

    /// <summary>How the engine and the server are.</summary>
    public sealed class HealthReport : Reply
    {
        /// <summary>What the engine runs on.</summary>
        public IReadOnlyDictionary<string, object> Engine { get; internal set; }

        /// <summary>Clients, conversations and turns of the server.</summary>
        public IReadOnlyDictionary<string, object> Server { get; internal set; }
    }

    internal sealed class MetricsReply : Reply
    {
        public string Text;
    }

    internal sealed class ErrorReply : Reply
    {
        public NpcEngineException Error;
    }
}
