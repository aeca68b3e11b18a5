"""The public methods that write nothing. What is not named here must be among the operations whose crashes are looked at.

`*` is every method of a class.
"""

from __future__ import annotations

READERS = {
    # Stores
    "Store": "check secrets sizes thread",
    "StateStore": """db_path find_rollout_path_by_id find_thread_name_by_id find_thread_names_by_ids
        find_thread_path_by_name_str get_dynamic_tools get_job get_thread get_thread_goal
        get_thread_memory_mode list_checkpoints list_jobs list_leaf_messages list_messages list_threads load_checkpoint""",
    "ThreadStore": """get_run get_step get_thread list_messages list_run_ids list_steps list_thread_ids run_dir steps_dir
        thread_dir""",
    "SessionStore": """get_session_metadata get_session_name get_session_state list_running_sessions list_sessions
        list_sessions_with_metadata list_stuck_sessions load search session_exists""",
    "SessionBackend": "*",  # nothing but what others make of it
    "DataStore": """active_recipe base_recipe build_recipe_snapshot can_rewind checkpoint_path checkpoint_saver content
        content_path cost_per_model histories last_active_tools load_checkpoint metadata metadata_path prompt_history
        recipe_name_lookup recipe_store recipes_dir rewind_stack_len session_id session_recipe session_recipe_path
        sessions_dir total_cost""",
    # Resources
    "Checkpoints": "damage get ids newest path recent",
    "DataSession": "costs metadata snapshot",
    "DataSessions": "damage ids latest_id recent resolve session statistics",
    "Goal": "get",
    "Histories": "all",
    "Jobs": "damage get recent",
    "Leaves": "replay",
    "Names": "get get_all path_of",
    "Parts": "damage get",
    "Prompts": "recent",
    "Recipes": "all damage get hashes_for_name name_of",
    "RunCheckpoint": "load saver",
    "RunHandle": "info",
    "Runs": "directory get handle",
    "SessionRecipe": "active created_at fields own snapshot",
    "SessionRuns": "content metadata prepared tools",
    "Sessions": "damage get keys recent running search stale stuck",
    "State": "get",
    "Steps": "get",
    "ThreadHandle": "info last_activity",
    "Threads": """called dated get handle ids last_activity logs reader recent trash_path unreadable with_message""",
    "Tools": "all",
    "Trash": "get old recent",
    "Usage": "costs sums",
    "WorkflowHandle": "damage info is_there locked missing",
    "Workflows": "damage get handle locked recent",
    # What these are made of
    "ContentView": "*",
    "DeletionView": "*",
    "Deletions": "leaves_of saw seen version_after",
    "Finder": "*",
    "Folded": "*",
    "Index": "*",
    "IndexView": "*",
    "Indexes": "*",
    "Moves": "origin",
    "Place": "is_there lock lock_existing missing path",
    "PromptsView": "*",
    "Redactor": "*",
    "Restoring": "message",
    "RewindView": "*",
    "SessionFiles": "whole",
    "SessionIndex": "called deletions deletions_of forget last_name",
    "StrictContentView": "*",
    "Tip": "add grew learn lose_leaf moved removed shrank skim start",
    "TreeReader": """any_on_branch branch branch_of children damage get held last_time leaf leaves length newest_of seen stamp
        with_index""",
    "UsageView": "*",
    "ViewedLog": "checked find reading",
    "Views": "*",
    "WholeContentView": "*",
    "Words": "*",
    # Upkeep
    "Column": "*",
    "Database": "*",
    "DerivedIds": "*",
    "Moved": "*",
}
