"""LlamaIndex's own engines, pipelines and agents on our LLM and our embeddings, against the simulator.

The number in a test's name is that of the workload. The fixtures judge every test as well: see `kit.Observers`.
"""
