"""Per-test CPU seconds."""
import json, os, time, pytest
T = {}
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    t = time.process_time()
    yield
    T[item.nodeid] = time.process_time() - t
def pytest_sessionfinish(session):
    os.makedirs("/src/cpu" if os.path.isdir("/src") else "/tmp/cpu", exist_ok=True)
    d = "/src/cpu" if os.path.isdir("/src") else "/tmp/cpu"
    json.dump(T, open(f"{d}/{os.environ.get('PYTEST_XDIST_WORKER','main')}.json", "w"))
