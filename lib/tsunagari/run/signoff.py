"""Who takes responsibility for a release, and is it still the one they saw?"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from datetime import date
from pathlib import Path

import yaml

from tsunagari.errors import DisclosureError
from tsunagari.gate import questionnaire
from tsunagari.gate.archive import archive_dir, archive_index, hash_archive, read_archive
from tsunagari.gate.attack import attack_release
from tsunagari.study.files import read_json, read_table, write_table
from tsunagari.study.survey import Study

# --- sign-off and verification --------------------------------------------------------------------


def hash_release(folder: Path) -> str:
    """Return one sha256 over names and contents of a release's files."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.name}\0{digest}\n".encode())
    return whole.hexdigest()


def seal_manifest(path: Path) -> None:
    """Write into a manifest.json its own hash, so that no byte of it can change unseen."""
    data = path.read_bytes()
    digest = _hash_manifest(data).encode()
    path.write_bytes(_SEAL.sub(b'"manifest": "' + digest + b'"', data, count=1))


_SEAL = re.compile(rb'"manifest": "[0-9a-f]*"')


def _hash_manifest(data: bytes) -> str:
    """Return the sha256 of a manifest whose own hash is left empty."""
    return hashlib.sha256(_SEAL.sub(b'"manifest": ""', data, count=1)).hexdigest()


def check_signoff(text: str, *, release_hash: str, is_synthetic: bool) -> dict[str, str]:
    """Return a sign-off that names who reviewed this very release, and when.

    Args:
        text: signoff.yaml: `reviewer`, `date` (YYYY-MM-DD), `hash`, `data` (real or synthetic).
        release_hash: Of the release as it is.
        is_synthetic: Whether any input of it is synthetic.

    Raises:
        DisclosureError: A field is missing, the hash is another, or a synthetic run is signed off
            as real.
    """
    try:
        signed = yaml.load(text, Loader=yaml.BaseLoader)  # every value as it is written
    except yaml.YAMLError:
        signed = None
    signed = {k: str(v) for k, v in signed.items()} if isinstance(signed, dict) else {}
    lacking = [k for k in ("reviewer", "date", "hash", "data") if not signed.get(k, "").strip()]
    if lacking or not _is_date(signed["date"]):
        raise DisclosureError(
            "SIGNOFF",
            value=", ".join(lacking) or "date（YYYY-MM-DD）",
            value_2=", ".join(lacking) or "a date (YYYY-MM-DD)",
        )
    if signed["hash"] != release_hash:
        raise DisclosureError("SIGNOFF_HASH", release_hash=release_hash)
    wanted = "synthetic" if is_synthetic else "real"
    if signed["data"] != wanted:
        raise DisclosureError("SIGNOFF_SYNTHETIC", wanted=wanted)
    return signed


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def sign_release(study: Study, folder: Path) -> dict[str, str]:
    """Check the sign-off of a release and keep its figures for the attacks of later years.

    Args:
        study: The wave; the reviewer's signoff.yaml stands beside its answers in data/raw.
        folder: Release folder.

    Raises:
        DisclosureError: There is no sign-off, or it is not of this release; see `check_signoff`.
    """
    path = study.wave_dir / "signoff.yaml"
    found = reviewed_hash(folder)
    if not path.exists():
        raise DisclosureError("SIGNOFF.sign_release", name=study.name, year=study.year, found=found)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DisclosureError("SIGNOFF.sign_release_2") from error
    # What the release was made from: other answers may lie in data/raw by now.
    is_synthetic = bool(read_table(folder / "manifest.json")["synthetic_inputs"])
    signed = check_signoff(text, release_hash=found, is_synthetic=is_synthetic)
    if not is_synthetic:  # nobody can learn of a real person from a synthetic figure
        _keep(study, folder)
    return signed


def reviewed_hash(folder: Path) -> str:
    """Return the hash that a reviewer signs: of the release before its mark was lifted."""
    signed = str(read_json(folder / "manifest.json").get("signoff"))
    return signed if re.fullmatch("[0-9a-f]{64}", signed) else hash_release(folder)


def _keep_name(study: Study, folder: Path) -> str:
    return f"{study.year}-{reviewed_hash(folder)[:12]}"


def _keep(study: Study, folder: Path) -> None:
    """Keep the figures of a signed release in the zone of data/processed, whole or not at all."""
    estimates = (folder / "estimates.csv").read_bytes()
    if estimates != (study.processed_dir / "published/estimates.csv").read_bytes():
        raise DisclosureError("RELEASE_OLD")
    kept, name = archive_dir(study), _keep_name(study, folder)
    index = archive_index(study)
    listed, found = read_json(index), hash_archive(study)
    if name in found and found[name] == listed.get(name):
        return
    new = kept / f".{name}"
    new.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "estimates.csv", new / "estimates.csv")
    shutil.copyfile(study.processed_dir / "private/estimates.csv", new / "truth.csv")
    shutil.copyfile(study.processed_dir / "published/about.json", new / "about.json")
    shutil.rmtree(kept / name, ignore_errors=True)
    new.rename(kept / name)
    listed[name] = hash_archive(study)[name]
    write_table(index.with_suffix(".new.json"), dict(sorted(listed.items())))
    index.with_suffix(".new.json").replace(index)


def verify_release(study: Study, folder: Path, *, is_signing: bool = False) -> None:
    """Recompute the hashes of a release and attack it again.

    Args:
        study: The wave.
        folder: Release folder.
        is_signing: Whether what is kept of this very release is about to be made whole.

    Raises:
        DisclosureError: A file is not what its manifest says, is lacking or is not in it, or the
            attack tells a hidden cell.
    """
    check_unchanged(folder)
    attack_study(study, folder, is_signing=is_signing)


def check_unchanged(folder: Path) -> None:
    """Check the files of a release against its manifest.

    Raises:
        DisclosureError: A file is not what the manifest says, is lacking or is not in it.
    """
    if changed := _find_changed(folder):
        raise DisclosureError("RELEASE_CHANGED", names=", ".join(changed))


def _find_changed(folder: Path) -> list[str]:
    """Return what differs from the manifest, the manifest itself, links and others' files too."""
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and not path.is_symlink() else "no file"
        for path in folder.iterdir()
    }  # fmt: skip
    try:
        data = (folder / "manifest.json").read_bytes()
        manifest = json.loads(data)
        wanted = manifest["outputs"] | {"manifest.json": manifest["manifest"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ["manifest.json"]
    if found["manifest.json"] != "no file":
        found["manifest.json"] = _hash_manifest(data)
    return sorted(n for n in {*wanted, *found} if wanted.get(n) != found.get(n))


def attack_study(study: Study, folder: Path, *, is_signing: bool = False) -> None:
    """Attack a release folder of a study with all that its analyst knows.

    The true counts are those of the last run, or those kept when this very release was signed.

    Raises:
        DisclosureError: See `attack_release`; or what was kept of signed releases is not whole.
    """
    name = _keep_name(study, folder)
    archive = read_archive(study, but=name if is_signing else "")
    kept = archive_dir(study) / name
    is_kept = kept.is_dir() and not is_signing
    attack_release(
        folder,
        read_table(kept / "truth.csv") if is_kept else study.load("private/estimates.csv"),
        about=read_table(kept / "about.json") if is_kept else study.load("published/about.json"),
        settings=study.config.disclosure,
        questionnaire=questionnaire.read_questionnaire(study),
        archive=archive,
    )
