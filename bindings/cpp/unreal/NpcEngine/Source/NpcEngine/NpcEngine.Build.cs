using System.IO;
using UnrealBuildTool;

public class NpcEngine : ModuleRules
{
    public NpcEngine(ReadOnlyTargetRules Target) : base(Target)
    {
        PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
        CppStandard = CppStandardVersion.Cpp17;

        // msgpack-cxx and the standard library's futures need exceptions. They stay inside this module: the client's
        // answers are values, and no delegate throws.
        bEnableExceptions = true;

        PublicDependencyModuleNames.AddRange(new[] { "Core", "CoreUObject", "Engine" });

        // ThirdParty holds: include/npc_engine, include/msgpack, include/zmq.h, and libzmq of the platform.
        string ThirdParty = Path.Combine(PluginDirectory, "ThirdParty");
        PrivateIncludePaths.Add(Path.Combine(ThirdParty, "include"));
        PrivateDefinitions.Add("MSGPACK_NO_BOOST");

        if (Target.Platform == UnrealTargetPlatform.Win64)
        {
            PublicAdditionalLibraries.Add(Path.Combine(ThirdParty, "Win64", "libzmq.lib"));
            RuntimeDependencies.Add("$(BinaryOutputDir)/libzmq.dll", Path.Combine(ThirdParty, "Win64", "libzmq.dll"));
        }
        else if (Target.Platform == UnrealTargetPlatform.Linux)
        {
            // Built with Unreal's clang and libc++: the C API of libzmq is all that is linked.
            PublicAdditionalLibraries.Add(Path.Combine(ThirdParty, "Linux", "libzmq.so"));
            RuntimeDependencies.Add("$(BinaryOutputDir)/libzmq.so.5", Path.Combine(ThirdParty, "Linux", "libzmq.so.5"));
        }
        else if (Target.Platform == UnrealTargetPlatform.Mac)
        {
            PublicAdditionalLibraries.Add(Path.Combine(ThirdParty, "Mac", "libzmq.5.dylib"));
            RuntimeDependencies.Add(Path.Combine(ThirdParty, "Mac", "libzmq.5.dylib"));
        }
    }
}
