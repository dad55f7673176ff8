"""The run directory: the only code that spells a path in it, and the only code that writes to it.

    <runs>/<name>/
      plans/0001.json                              one per sweep call, never edited
      examples/{examples.parquet,columns.parquet,audit.json,data.json}
      generations/<condition>/00003-of-00008.parquet     a piece (+ .timing.json beside it)
      generations/<condition>/journal/*.jsonl            while a shard is at work
      adapters/<finetune id>/                            trained in .<finetune id>.partial/
      scores/<metric>-<hash>/<condition>/00003-of-00008.parquet
      pairs/<name>-<digest>.{parquet,json}               preference pairs, and what was left out
      refine/<name>/                                     a prompt refinement, a run each step
      annotation/<round>/                                people's ratings: packets, key, files
      slurm/{jobs.jsonl,<submission>/,code/<digest>/}    what was submitted, and the code it runs
      logs/  report/  report-of-version-<number>/  set-aside/

A *piece* is a parquet file that holds whole blocks and says in its metadata which ones, with a
digest of each block's rows. Work is done if and only if a piece holds it and the digests agree;
no other marker exists. Many pieces of a finished condition become few (``compacting``), which hold
the same blocks with the same digests. Files appear by rename, so a reader sees all of one or
nothing.
"""

from empathy_core.store.files import (
    append_json_line,
    disk_errors,
    json_lines,
    make_dir,
    read_json,
    remove_leftovers,
    write_bytes,
    write_json,
)
from empathy_core.store.folders import replace_folder, whole_folder
from empathy_core.store.journal import (
    Journal,
    JournalBlock,
    RowKey,
    read_journal,
    read_journal_rows,
)
from empathy_core.store.modes import is_shared, open_file, set_mode, umask_in
from empathy_core.store.pieces import (
    Piece,
    block_digests,
    blocks_of_shard,
    frame_bytes,
    inputs_of,
    list_pieces,
    read_piece,
    verify_piece,
    versions,
    versions_tag,
    write_piece,
    write_texts,
)
from empathy_core.store.refinementdir import RefinementDir
from empathy_core.store.rundir import RunDir, one_name
from empathy_core.store.schemas import (
    ADDED,
    EVALUATED,
    EXAMPLES,
    GENERATIONS,
    SCORES,
    TURNS,
    UNIT_BLOCKS,
    corpus_inputs,
    paired_inputs,
    unit_inputs,
)
from empathy_core.store.sound import CheckedFolder, LoadedPiece, Unusable, check_folder, read_rows

__all__ = [
    "ADDED",
    "EVALUATED",
    "EXAMPLES",
    "GENERATIONS",
    "SCORES",
    "TURNS",
    "UNIT_BLOCKS",
    "CheckedFolder",
    "Journal",
    "JournalBlock",
    "LoadedPiece",
    "Piece",
    "RefinementDir",
    "RowKey",
    "RunDir",
    "Unusable",
    "append_json_line",
    "block_digests",
    "blocks_of_shard",
    "check_folder",
    "corpus_inputs",
    "disk_errors",
    "frame_bytes",
    "inputs_of",
    "is_shared",
    "json_lines",
    "list_pieces",
    "make_dir",
    "one_name",
    "open_file",
    "paired_inputs",
    "read_journal",
    "read_journal_rows",
    "read_json",
    "read_piece",
    "read_rows",
    "remove_leftovers",
    "replace_folder",
    "set_mode",
    "umask_in",
    "unit_inputs",
    "verify_piece",
    "versions",
    "versions_tag",
    "whole_folder",
    "write_bytes",
    "write_json",
    "write_piece",
    "write_texts",
]
