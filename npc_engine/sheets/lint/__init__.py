"""What is wrong with a sheet that loads: rules that read it as a writer's colleague would."""
