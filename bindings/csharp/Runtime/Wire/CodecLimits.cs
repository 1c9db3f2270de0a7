namespace NpcEngine.Wire
{
    /// <summary>What one side accepts in a frame.</summary>
    internal sealed class CodecLimits
    {
        /// <summary>Items in one map or array, of either side and every server.</summary>
        public const int MaxItems = 4096;

        // A server cannot talk this client into reading without bound.
        private const long HighestFrameBytes = 64L << 20;
        private const long HighestDepth = 64;

        /// <summary>The limits until the server has named its own.</summary>
        public CodecLimits() : this(1 << 20, 16)
        {
        }

        /// <summary>Takes over a server's limits.</summary>
        /// <param name="maxFrameBytes">Largest frame, bytes.</param>
        /// <param name="maxDepth">Deepest nesting of maps and arrays; the message's own map is 1.</param>
        public CodecLimits(long maxFrameBytes, long maxDepth)
        {
            MaxFrameBytes = (int)System.Math.Min(maxFrameBytes, HighestFrameBytes);
            MaxDepth = (int)System.Math.Min(maxDepth, HighestDepth);
        }

        public int MaxFrameBytes { get; }

        public int MaxDepth { get; }
    }
}
