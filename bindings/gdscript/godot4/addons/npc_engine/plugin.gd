@tool
extends EditorPlugin
# Puts the node NpcClient into the editor's "add node" window.


func _enter_tree():
	add_custom_type("NpcClient", "Node", preload("npc_client.gd"), null)


func _exit_tree():
	remove_custom_type("NpcClient")
