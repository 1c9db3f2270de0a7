using System;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using NpcEngine.Zmtp;

namespace NpcEngine.Io
{
    /// <summary>
    /// One attempt at one TCP connection. Nothing here blocks: every step that the system finishes later calls `wake`, and the
    /// connection's thread then asks for the outcome. Closing it at any moment ends every step.
    /// </summary>
    internal sealed class TcpChannel
    {
        private const int ReceiveBytes = 16 << 10;

        private readonly ServerAddress _address;
        private readonly int _attempt;
        private readonly Action _wake;
        private readonly byte[] _receiveBuffer = new byte[ReceiveBytes];
        // Guards _socket, _isClosed: completions come on the runtime's own threads.
        private readonly object _gate = new object();
        private Socket _socket;
        private bool _isClosed;
        private SocketAsyncEventArgs _receiving;
        private SocketAsyncEventArgs _sending;
        private volatile bool _isConnected;
        private volatile bool _isSending;
        private volatile bool _isReceiving;
        private volatile bool _hasReceived;
        private volatile string _failure;
        private int _numReceived;
        private int _numPending;

        /// <param name="address">Where to.</param>
        /// <param name="attempt">Counts attempts; a host with several addresses is tried at each in turn.</param>
        /// <param name="wake">Called from any thread when there is something to ask for.</param>
        public TcpChannel(ServerAddress address, int attempt, Action wake)
        {
            _address = address;
            _attempt = attempt;
            _wake = wake;
        }

        public bool IsConnected => _isConnected;

        /// <summary>Whether the next bytes can be given to Send at once.</summary>
        public bool IsUsable => _isConnected && !_isSending && _failure == null;

        /// <summary>Whether no completion is still to come. After Close it soon is.</summary>
        public bool IsIdle => Volatile.Read(ref _numPending) == 0;

        /// <summary>Why the connection failed or ended; null while it has not.</summary>
        public string Failure => _failure;

        /// <summary>Begins to connect.</summary>
        public void Connect()
        {
            IPAddress ip;
            if (IPAddress.TryParse(_address.Host, out ip))
            {
                ConnectTo(ip);
                return;
            }
            Interlocked.Increment(ref _numPending);
            try
            {
                Dns.BeginGetHostAddresses(_address.Host, OnResolved, null);
            }
            catch (Exception error) when (error is SocketException || error is ArgumentException)
            {
                Fail(error.Message);
                Completed();
            }
        }

        /// <summary>Begins to send what the queue holds, unless earlier bytes are still on their way.</summary>
        /// <remarks>Never by Socket.Send: Mono's spins until a full buffer has room, non-blocking or not.</remarks>
        public void Send(ByteQueue output)
        {
            if (!IsUsable || output.Count == 0)
            {
                return;
            }
            byte[] bytes = output.Take(output.Count);
            _isSending = true;
            StartSending(bytes, 0, bytes.Length);
        }

        /// <summary>Whether the system has taken everything of the queue.</summary>
        public bool HasSentAll(ByteQueue output)
        {
            return output.Count == 0 && !_isSending;
        }

        /// <summary>Begins to receive, unless that has begun or bytes wait to be taken.</summary>
        public void Receive()
        {
            if (!_isConnected || _isReceiving || _hasReceived || _failure != null)
            {
                return;
            }
            _isReceiving = true;
            Start(socket => socket.ReceiveAsync(_receiving), _receiving, OnReceived);
        }

        /// <summary>Hands received bytes to the session; false where there are none.</summary>
        public bool TakeReceived(ZmtpSession session)
        {
            if (!_hasReceived)
            {
                return false;
            }
            _hasReceived = false;
            session.Receive(_receiveBuffer, 0, _numReceived);
            return true;
        }

        /// <summary>Closes the socket and ends every step; safe from any thread and twice.</summary>
        public void Close()
        {
            lock (_gate)
            {
                if (_isClosed)
                {
                    return;
                }
                _isClosed = true;
                _socket?.Close();
                _receiving?.Dispose();
                _sending?.Dispose();
            }
        }

        private void OnResolved(IAsyncResult result)
        {
            try
            {
                IPAddress[] addresses = Dns.EndGetHostAddresses(result);
                if (addresses.Length == 0)
                {
                    Fail("the host has no address");
                    return;
                }
                ConnectTo(addresses[_attempt % addresses.Length]);
            }
            catch (Exception error) when (error is SocketException || error is ArgumentException)
            {
                Fail(error.Message);
            }
            finally
            {
                Completed();
            }
        }

        private void ConnectTo(IPAddress ip)
        {
            var connecting = new SocketAsyncEventArgs { RemoteEndPoint = new IPEndPoint(ip, _address.Port) };
            connecting.Completed += OnConnected;
            bool isPending = true;
            lock (_gate)
            {
                if (_isClosed)
                {
                    return;
                }
                try
                {
                    _socket = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                    Interlocked.Increment(ref _numPending);
                    isPending = _socket.ConnectAsync(connecting);
                }
                catch (SocketException error)
                {
                    connecting.Dispose();
                    Fail(error.Message);
                    Completed();
                    return;
                }
            }
            if (!isPending)
            {
                OnConnected(null, connecting);
            }
        }

        private void OnConnected(object sender, SocketAsyncEventArgs connecting)
        {
            SocketError error = connecting.SocketError;
            connecting.Dispose();
            if (error != SocketError.Success)
            {
                Fail(error.ToString());
                Completed();
                return;
            }
            _receiving = new SocketAsyncEventArgs();
            _receiving.SetBuffer(_receiveBuffer, 0, _receiveBuffer.Length);
            _receiving.Completed += OnReceived;
            _sending = new SocketAsyncEventArgs();
            _sending.Completed += OnSent;
            _isConnected = Try(socket => socket.Blocking = false);
            Completed();
        }

        private void StartSending(byte[] bytes, int offset, int count)
        {
            Func<Socket, bool> send = socket =>
            {
                _sending.SetBuffer(bytes, offset, count);
                return socket.SendAsync(_sending);
            };
            Start(send, _sending, OnSent);
        }

        private void OnSent(object sender, SocketAsyncEventArgs sending)
        {
            int left = sending.Count - sending.BytesTransferred;
            if (sending.SocketError != SocketError.Success)
            {
                Fail(sending.SocketError.ToString());
            }
            else if (left > 0)
            {
                StartSending(sending.Buffer, sending.Offset + sending.BytesTransferred, left);
            }
            else
            {
                _isSending = false;
            }
            Completed();
        }

        private void OnReceived(object sender, SocketAsyncEventArgs receiving)
        {
            if (receiving.SocketError == SocketError.WouldBlock)
            {
                _isReceiving = false;
            }
            else if (receiving.SocketError != SocketError.Success)
            {
                Fail(receiving.SocketError.ToString());
            }
            else if (receiving.BytesTransferred == 0)
            {
                Fail("the server closed the connection");
            }
            else
            {
                _numReceived = receiving.BytesTransferred;
                _hasReceived = true;
                _isReceiving = false;
            }
            Completed();
        }

        // A step that the system finishes later, or has finished at once.
        private void Start(
            Func<Socket, bool> step, SocketAsyncEventArgs arguments, Action<object, SocketAsyncEventArgs> completed)
        {
            bool isPending = false;
            Interlocked.Increment(ref _numPending);
            if (!Try(socket => isPending = step(socket)))
            {
                Completed();
            }
            else if (!isPending)
            {
                completed(null, arguments);
            }
        }

        private void Completed()
        {
            Interlocked.Decrement(ref _numPending);
            _wake();
        }

        // False where the channel was closed meanwhile; the closer knows.
        private bool Try(Action<Socket> step)
        {
            lock (_gate)
            {
                if (_isClosed)
                {
                    return false;
                }
                try
                {
                    step(_socket);
                    return true;
                }
                catch (Exception error) when (error is SocketException || error is ObjectDisposedException)
                {
                    Fail(error.Message);
                    return false;
                }
            }
        }

        private void Fail(string reason)
        {
            _failure = _failure ?? reason;
            _wake();
        }
    }
}
