using System;

// Just enough of Godot's names to compile the sample.
namespace Godot
{
    [AttributeUsage(AttributeTargets.Field)]
    public sealed class ExportAttribute : Attribute
    {
    }

    public class Node
    {
        public virtual void _EnterTree()
        {
        }

        public virtual void _ExitTree()
        {
        }

        public virtual void _Process(double delta)
        {
        }

        public SceneTree GetTree()
        {
            return new SceneTree();
        }
    }

    public class Label : Node
    {
        public string Text { get; set; }
    }

    public sealed class SceneTree
    {
        public SceneTreeTimer CreateTimer(double seconds)
        {
            return new SceneTreeTimer();
        }
    }

    public sealed class SceneTreeTimer
    {
        public event Action Timeout
        {
            add { }
            remove { }
        }
    }

    public static class GD
    {
        public static void Print(string text)
        {
        }

        public static void PushWarning(string text)
        {
        }
    }
}
