using System.Collections.Generic;
using NpcEngine;
using UnityEngine;

/// <summary>
/// A character on one game object: a line to type into, the reply as it is spoken, one action. Everything here runs in Unity's
/// main thread; nothing waits.
/// </summary>
public sealed class TalkingCharacter : MonoBehaviour
{
    [SerializeField] private string address = NpcClient.DefaultAddress;
    [SerializeField] private string characterId = "hesta";
    [SerializeField] private string playerId = "player-1";
    [SerializeField] private string playerName = "Ada";
    [SerializeField] private int gold = 50;

    private const float ReconnectSeconds = 2f;

    private NpcClient _client;
    private NpcConversation _talk;
    private NpcTurn _turn;
    private string _shown = "";
    private string _line = "";
    private float _reconnectAt = float.PositiveInfinity;

    private void OnEnable()
    {
        _client = new NpcClient(address);
        _client.Error += error => Debug.LogWarning(error.Message, this);
        _client.ConnectionLost += error =>
        {
            // The conversations went with the connection.
            _talk = null;
            _turn = null;
            _shown = error.Reason;
            _reconnectAt = Time.unscaledTime + ReconnectSeconds;
        };
        Connect();
    }

    private void Update()
    {
        _client.Poll();
        if (Time.unscaledTime >= _reconnectAt)
        {
            Connect();
        }
    }

    // Runs when the object is disabled or destroyed, when play ends, and before Unity reloads the scripts.
    private void OnDisable()
    {
        _client.Dispose();
        _talk = null;
        _turn = null;
    }

    private void Connect()
    {
        _reconnectAt = float.PositiveInfinity;
        _shown = "...";
        // ConnectionLost tells of a connection that could not be made.
        _client.Connect().Failed += error => Debug.Log(error.Message, this);
        NpcRequest<NpcConversation> open = _client.Open(
            characterId,
            playerId,
            playerName,
            new Dictionary<string, object> { { "trust", 10 } },
            OnAction);
        open.Done += talk =>
        {
            _talk = talk;
            _shown = talk.Greeting;
        };
        open.Failed += error => _shown = error.Reason;
    }

    private void Say(string line)
    {
        _shown = "";
        _turn = _talk.Say(line);
        _turn.TokenReceived += text => _shown += text;
        _turn.Ended += end => _shown = end.Text;
        _turn.Failed += error => _shown = error.Reason;
    }

    // The game decides what really happens. The answer may also come some frames later, after an animation or a dialog box.
    private void OnAction(NpcActionCall call)
    {
        if (call.Name != "sell_item" || gold < 40)
        {
            call.Refuse("the player cannot pay");
            return;
        }
        gold -= 40;
        call.Answer(new Dictionary<string, object> { { "sold", call.Arguments["item"] }, { "price_paid", "40 crowns" } });
    }

    private void OnGUI()
    {
        GUILayout.BeginArea(new Rect(20, 20, Screen.width - 40, Screen.height - 40));
        GUILayout.Label(_shown);
        if (_turn != null && !_turn.IsOver)
        {
            if (GUILayout.Button("Stop"))
            {
                _turn.Cancel();
            }
        }
        else if (_talk != null)
        {
            _line = GUILayout.TextField(_line);
            if (GUILayout.Button("Say") && _line.Length > 0)
            {
                Say(_line);
                _line = "";
            }
        }
        GUILayout.EndArea();
    }
}
