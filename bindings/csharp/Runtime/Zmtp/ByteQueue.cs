using System;

namespace NpcEngine.Zmtp
{
    /// <summary>Bytes in, bytes out, in order. Gives memory back when it runs empty after a large frame.</summary>
    internal sealed class ByteQueue
    {
        private const int KeptCapacity = 64 << 10;

        private byte[] _bytes = new byte[1024];
        private int _head;
        private int _tail;

        public int Count => _tail - _head;

        /// <summary>The memory that holds the queued bytes: Count of them from <see cref="Start"/> on.</summary>
        public byte[] Memory => _bytes;

        public int Start => _head;

        public byte this[int index] => _bytes[_head + index];

        public void Append(byte[] source, int offset, int count)
        {
            if (count > _bytes.Length - _tail)
            {
                MakeRoom(count);
            }
            Buffer.BlockCopy(source, offset, _bytes, _tail, count);
            _tail += count;
        }

        public void Append(byte value)
        {
            if (_tail == _bytes.Length)
            {
                MakeRoom(1);
            }
            _bytes[_tail++] = value;
        }

        public void Skip(int count)
        {
            _head += count;
            if (_head == _tail)
            {
                _head = _tail = 0;
                if (_bytes.Length > KeptCapacity)
                {
                    _bytes = new byte[1024];
                }
            }
        }

        public byte[] Take(int count)
        {
            var taken = new byte[count];
            Buffer.BlockCopy(_bytes, _head, taken, 0, count);
            Skip(count);
            return taken;
        }

        private void MakeRoom(int count)
        {
            int needed = checked(Count + count);
            byte[] target = needed <= _bytes.Length / 2 ? _bytes : new byte[Math.Max(2 * _bytes.Length, needed)];
            int queued = Count;
            Buffer.BlockCopy(_bytes, _head, target, 0, queued);
            _bytes = target;
            _head = 0;
            _tail = queued;
        }
    }
}
