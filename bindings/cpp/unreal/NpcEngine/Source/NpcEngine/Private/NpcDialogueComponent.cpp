#include "NpcDialogueComponent.h"

// Unreal's macros of these names would break the headers below.
THIRD_PARTY_INCLUDES_START
#pragma push_macro("check")
#pragma push_macro("verify")
#undef check
#undef verify
#include "npc_engine/npc_engine.hpp"
#pragma pop_macro("verify")
#pragma pop_macro("check")
THIRD_PARTY_INCLUDES_END

#include <map>
#include <optional>
#include <string>

namespace
{
std::string ToUtf8(const FString& Text) { return std::string(TCHAR_TO_UTF8(*Text)); }

FString FromUtf8(const std::string& Text) { return FString(UTF8_TO_TCHAR(Text.c_str())); }

// For Blueprints, which have no type for any data.
FString ToText(const npc_engine::Value& Value)
{
    if (Value.text() != nullptr)
    {
        return FromUtf8(*Value.text());
    }
    if (const auto Whole = Value.integer())
    {
        return FString::Printf(TEXT("%lld"), static_cast<long long>(*Whole));
    }
    if (const auto Number = Value.number())
    {
        return FString::SanitizeFloat(*Number);
    }
    const auto Truth = Value.boolean();
    return Truth ? (*Truth ? TEXT("true") : TEXT("false")) : TEXT("");
}
}  // namespace

struct UNpcDialogueComponent::FTalk
{
    explicit FTalk(npc_engine::ClientOptions Options) : Client(std::move(Options)) {}

    // The call that waits for an answer, which it has then.
    std::optional<npc_engine::ActionReply> Take(const std::string& CallId)
    {
        const auto Found = Calls.find(CallId);
        if (Found == Calls.end())
        {
            return std::nullopt;
        }
        std::optional<npc_engine::ActionReply> Reply(std::move(Found->second));
        Calls.erase(Found);
        return Reply;
    }

    std::map<std::string, npc_engine::ActionReply> Calls;
    std::optional<npc_engine::Conversation> Conversation;
    // Last, so that it is destroyed first and no callback can follow.
    npc_engine::Client Client;
};

UNpcDialogueComponent::UNpcDialogueComponent() { PrimaryComponentTick.bCanEverTick = true; }

// Here, where FTalk is complete.
UNpcDialogueComponent::~UNpcDialogueComponent() = default;

void UNpcDialogueComponent::BeginPlay()
{
    Super::BeginPlay();
    npc_engine::ClientOptions Options;
    Options.address = ToUtf8(Address);
    // The component owns the client, whose callbacks come from TickComponent alone: `this` outlives them.
    const auto Report = [this](const npc_engine::Error& Error) {
        OnError.Broadcast(FromUtf8(Error.code), FromUtf8(Error.message));
    };
    Options.on_error = Report;
    Options.on_lost = Report;
    Talk = MakeUnique<FTalk>(std::move(Options));
    Talk->Client.connect();

    npc_engine::OpenOptions Open;
    Open.character_id = ToUtf8(CharacterId);
    Open.player_id = ToUtf8(PlayerId);
    Open.on_action = [this](const npc_engine::ActionCall& Call, npc_engine::ActionReply Reply) {
        TMap<FString, FString> Arguments;
        for (const auto& [Name, Value] : Call.arguments)
        {
            Arguments.Add(FromUtf8(Name), ToText(Value));
        }
        Talk->Calls.insert_or_assign(Call.call_id, std::move(Reply));
        OnAction.Broadcast(FromUtf8(Call.call_id), FromUtf8(Call.name), Arguments);
    };
    Talk->Client.open(std::move(Open), [this, Report](npc_engine::Result<npc_engine::Conversation> Opened) {
        if (!Opened)
        {
            return Report(Opened.error());
        }
        Talk->Conversation = *Opened;
        OnOpened.Broadcast(FromUtf8(Opened->greeting()));
    });
}

void UNpcDialogueComponent::EndPlay(const EEndPlayReason::Type Reason)
{
    Talk.Reset();
    Super::EndPlay(Reason);
}

void UNpcDialogueComponent::TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* Function)
{
    Super::TickComponent(DeltaTime, TickType, Function);
    // A delegate must not end play for this component's actor directly: destroy it on the next tick.
    if (Talk)
    {
        Talk->Client.poll();
    }
}

void UNpcDialogueComponent::Say(const FString& Text)
{
    if (!Talk || !Talk->Conversation)
    {
        OnError.Broadcast(TEXT("NPC313"), TEXT("the conversation is not open; wait for OnOpened"));
        return;
    }
    npc_engine::TurnHandlers Turn;
    Turn.on_token = [this](const npc_engine::Token& Token) { OnToken.Broadcast(FromUtf8(Token.text)); };
    Turn.on_sentence = [this](const npc_engine::Sentence& Sentence) { OnSentence.Broadcast(FromUtf8(Sentence.text)); };
    Turn.on_end = [this](npc_engine::Result<npc_engine::TurnEnd> End) {
        if (End)
        {
            OnTurnEnd.Broadcast(FromUtf8(End->text));
        }
        else
        {
            OnError.Broadcast(FromUtf8(End.error().code), FromUtf8(End.error().message));
        }
    };
    Talk->Conversation->say(ToUtf8(Text), std::move(Turn));
}

void UNpcDialogueComponent::Cancel()
{
    if (Talk && Talk->Conversation)
    {
        Talk->Conversation->cancel();
    }
}

void UNpcDialogueComponent::AnswerAction(const FString& CallId, const TMap<FString, FString>& Result)
{
    if (const auto Reply = Talk ? Talk->Take(ToUtf8(CallId)) : std::nullopt)
    {
        npc_engine::Map Fields;
        for (const auto& Each : Result)
        {
            Fields.insert_or_assign(ToUtf8(Each.Key), ToUtf8(Each.Value));
        }
        Reply->result(std::move(Fields));
    }
}

void UNpcDialogueComponent::RefuseAction(const FString& CallId, const FString& Reason)
{
    if (const auto Reply = Talk ? Talk->Take(ToUtf8(CallId)) : std::nullopt)
    {
        Reply->error(ToUtf8(Reason));
    }
}

void UNpcDialogueComponent::WorldEvent(const FString& Text)
{
    if (Talk && Talk->Conversation)
    {
        Talk->Conversation->world_event(ToUtf8(Text));
    }
}

void UNpcDialogueComponent::SetStateNumber(const FString& Name, int32 Number)
{
    if (Talk && Talk->Conversation)
    {
        npc_engine::Map Changes;
        Changes.insert_or_assign(ToUtf8(Name), npc_engine::Value(Number));
        Talk->Conversation->set_state(std::move(Changes));
    }
}
