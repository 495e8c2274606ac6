"""The controller: watches Gateway API objects, translates them to routing tables, reports status."""
