using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("NpcEngine.Tests")]
[assembly: InternalsVisibleTo("NpcEngine.Conformance")]
