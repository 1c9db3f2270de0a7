// One character that the player can talk to. Nothing of the client's headers is visible here.
#pragma once

#include "Components/ActorComponent.h"
#include "CoreMinimal.h"

#include "NpcDialogueComponent.generated.h"

DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FNpcText, const FString&, Text);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_ThreeParams(FNpcAction, const FString&, CallId, const FString&, Name,
                                               const TMap<FString, FString>&, Arguments);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(FNpcError, const FString&, Code, const FString&, Message);

/** Connects on BeginPlay, polls in TickComponent and broadcasts on the game thread. Disconnects on EndPlay. */
UCLASS(ClassGroup = (Npc), meta = (BlueprintSpawnableComponent))
class NPCENGINE_API UNpcDialogueComponent : public UActorComponent
{
    GENERATED_BODY()

public:
    UNpcDialogueComponent();
    virtual ~UNpcDialogueComponent() override;

    /** The server's address. */
    UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "NPC")
    FString Address = TEXT("tcp://127.0.0.1:5570");

    /** A character sheet's id. */
    UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "NPC")
    FString CharacterId;

    /** The game's stable id of the player. */
    UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "NPC")
    FString PlayerId = TEXT("player");

    /** The conversation is open; the text is the greeting. */
    UPROPERTY(BlueprintAssignable, Category = "NPC")
    FNpcText OnOpened;

    /** A piece of speech: append it. */
    UPROPERTY(BlueprintAssignable, Category = "NPC")
    FNpcText OnToken;

    UPROPERTY(BlueprintAssignable, Category = "NPC")
    FNpcText OnSentence;

    /** The turn is over; the text is the reply that counts. */
    UPROPERTY(BlueprintAssignable, Category = "NPC")
    FNpcText OnTurnEnd;

    /** Run the action, then call AnswerAction or RefuseAction with its CallId. */
    UPROPERTY(BlueprintAssignable, Category = "NPC")
    FNpcAction OnAction;

    UPROPERTY(BlueprintAssignable, Category = "NPC")
    FNpcError OnError;

    /** The player speaks. */
    UFUNCTION(BlueprintCallable, Category = "NPC")
    void Say(const FString& Text);

    /** Stops the running turn; OnTurnEnd still comes. */
    UFUNCTION(BlueprintCallable, Category = "NPC")
    void Cancel();

    UFUNCTION(BlueprintCallable, Category = "NPC")
    void AnswerAction(const FString& CallId, const TMap<FString, FString>& Result);

    /** Reason is in words the character may use. */
    UFUNCTION(BlueprintCallable, Category = "NPC")
    void RefuseAction(const FString& CallId, const FString& Reason);

    UFUNCTION(BlueprintCallable, Category = "NPC")
    void WorldEvent(const FString& Text);

    /** A number of the game's state, such as trust. */
    UFUNCTION(BlueprintCallable, Category = "NPC")
    void SetStateNumber(const FString& Name, int32 Number);

    virtual void BeginPlay() override;
    virtual void EndPlay(const EEndPlayReason::Type Reason) override;
    virtual void TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* Function) override;

private:
    struct FTalk;
    TUniquePtr<FTalk> Talk;
};
