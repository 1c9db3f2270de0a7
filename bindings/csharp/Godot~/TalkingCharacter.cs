using System.Collections.Generic;
using Godot;
using NpcEngine;

/// <summary>A character on one node, for Godot 4 with .NET: attach it to a Label.</summary>
public partial class TalkingCharacter : Label
{
    [Export] public string Address = NpcClient.DefaultAddress;
    [Export] public string CharacterId = "hesta";

    private const double ReconnectSeconds = 2;

    private NpcClient _client;
    private NpcConversation _talk;

    public override void _EnterTree()
    {
        _client = new NpcClient(Address);
        _client.Error += error => GD.PushWarning(error.Message);
        _client.ConnectionLost += error =>
        {
            _talk = null;
            Text = error.Reason;
            GetTree().CreateTimer(ReconnectSeconds).Timeout += Connect;
        };
        Connect();
    }

    public override void _Process(double delta)
    {
        _client.Poll();
    }

    public override void _ExitTree()
    {
        _client.Dispose();
        _client = null;
    }

    /// <summary>The player speaks; the reply appears in the label as it is spoken.</summary>
    public void Say(string line)
    {
        if (_talk == null)
        {
            return;
        }
        Text = "";
        NpcTurn turn = _talk.Say(line);
        turn.TokenReceived += text => Text += text;
        turn.Ended += end => Text = end.Text;
        turn.Failed += error => Text = error.Reason;
    }

    private void Connect()
    {
        // The timer may outlive the node's place in the tree.
        if (_client == null)
        {
            return;
        }
        _client.Connect().Failed += error => GD.Print(error.Message);
        _client.Open(CharacterId, "player-1", "Ada", null, OnAction).Done += talk =>
        {
            _talk = talk;
            Text = talk.Greeting;
        };
    }

    private static void OnAction(NpcActionCall call)
    {
        call.Answer(new Dictionary<string, object> { { "done", true } });
    }
}
