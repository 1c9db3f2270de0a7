using System;

namespace NpcEngine
{
    /// <summary>
    /// Every deliberate error of this library and of the server. Match on <see cref="Code"/>, never on the message; each code
    /// has a page in the engine's docs/errors.
    /// </summary>
    public sealed class NpcEngineException : Exception
    {
        /// <summary>Makes an error.</summary>
        /// <param name="code">A stable code, see <see cref="ErrorCode"/>.</param>
        /// <param name="message">What is wrong, for a developer.</param>
        /// <param name="hint">The next step; may be empty.</param>
        /// <param name="retryAfterSeconds">For NPC306: when to try again.</param>
        public NpcEngineException(string code, string message, string hint = "", double? retryAfterSeconds = null)
            : base(hint.Length == 0 ? code + ": " + message : code + ": " + message + "\n  hint: " + hint)
        {
            Code = code;
            Reason = message;
            Hint = hint;
            RetryAfterSeconds = retryAfterSeconds;
        }

        /// <summary>The stable code, such as NPC313.</summary>
        public string Code { get; }

        /// <summary>What is wrong, without code and hint.</summary>
        public string Reason { get; }

        /// <summary>The next step for whoever must act; may be empty.</summary>
        public string Hint { get; }

        /// <summary>For NPC306: the seconds after which to try again; otherwise null.</summary>
        public double? RetryAfterSeconds { get; }
    }

    /// <summary>The codes that a game may want to tell apart. A server may send others; take those by their hundred.</summary>
    public static class ErrorCode
    {
        /// <summary>The address or a key is wrong; nothing was started.</summary>
        public const string Config = "NPC001";

        /// <summary>The bytes are not one msgpack map of text keys, or are beyond a limit of the wire.</summary>
        public const string MalformedMessage = "NPC201";

        /// <summary>A field is missing or of the wrong type.</summary>
        public const string InvalidMessage = "NPC202";

        /// <summary>The kind of a message is not known here.</summary>
        public const string UnknownKind = "NPC203";

        /// <summary>The server speaks another protocol version.</summary>
        public const string UnsupportedVersion = "NPC204";

        /// <summary>A message exceeds max_frame_bytes.</summary>
        public const string FrameTooLarge = "NPC206";

        /// <summary>No sheet with that id is loaded.</summary>
        public const string UnknownCharacter = "NPC301";

        /// <summary>The conversation still answers; cancel it or wait for its end.</summary>
        public const string TurnInProgress = "NPC304";

        /// <summary>The server is full; try again after RetryAfterSeconds.</summary>
        public const string Overloaded = "NPC306";

        /// <summary>The action call no longer waits for a result.</summary>
        public const string UnknownActionCall = "NPC308";

        /// <summary>No answer came in time; the connection stays usable.</summary>
        public const string RequestTimeout = "NPC311";

        /// <summary>There is no connection, or it ended; its conversations are gone. Connect anew.</summary>
        public const string ConnectionLost = "NPC313";
    }
}
