"""Archives of echo studies: coded clips and kept files, found again from what is stored, on one machine or many.

SOURCE --sources--> files --task--> objects and a record each --manifest--> lines --verify, restore, find, report-->

Nothing is ever half-written: objects appear whole, a record after its objects, a manifest line after its record.
"""
